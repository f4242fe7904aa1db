package relay

// InMemory is where the counts of a state folder are, which a test has to remove.
var InMemory = inMemory
