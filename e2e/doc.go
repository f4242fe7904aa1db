// Package e2e looks at the system from outside: it starts the real binary as real
// processes and talks to it with phones nobody here wrote and with our own. It
// also holds the rules of the house (imports_test.go, house_test.go), which read
// the source instead of running it. It has no code of its own; networks with NAT
// are made by e2e/lab.
package e2e
