package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The README is the first thing a newcomer believes.
func TestTheREADMEPointsAtWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", link[1])); err != nil {
			t.Errorf("the README links to %s: %v", link[1], err)
		}
	}
}

// Every third party has a reason in the README and a door in the policy.
func TestEveryDependencyHasAReason(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // indirect ones bear a comment
	for _, m := range direct.FindAllStringSubmatch(string(mod), -1) {
		path := regexp.MustCompile(`/v\d+$`).ReplaceAllString(m[1], "")
		opened := false
		for d := range doors {
			opened = opened || within(m[1], d) || within(d, path)
		}
		if !opened {
			t.Errorf("%s has no door in the policy", m[1])
		}
		name := path[strings.Index(path, "/")+1:]
		if !strings.Contains(string(readme), name) && !strings.Contains(string(readme), path) {
			t.Errorf("the README gives no reason for %s", m[1])
		}
	}
}
