package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/lindero/lindero/shield/policy"
)

// printPolicy writes a version as a YAML file with a head that put understands.
func printPolicy(out io.Writer, v policy.Version) error {
	if v.Number == 0 {
		fmt.Fprintf(out, "# %s\n", policy.Named(0))
	} else {
		fmt.Fprintf(out, "# %s, by %s at %s\n", policy.Named(v.Number), oneLine(v.Author), moment(v.Made))
	}
	if v.Note != "" {
		fmt.Fprintf(out, "# %s\n", oneLine(v.Note))
	}
	text, err := json.Marshal(v.Document)
	if err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	if string(text) == "{}" {
		_, err := fmt.Fprint(out, "# Nothing is set: every country may come in, and the default budgets hold (--full writes them out).\n{}\n")
		return err
	}
	// By way of JSON, which leaves out what is not set, and keeps the order of keys.
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	plainStyle(&tree)
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(&tree); err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	return enc.Close()
}

// plainStyle takes away JSON's braces and quotes, save where countries stand: a
// list of two hundred is better read in lines than as a column.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plainStyle(c)
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) > 0 && n.Content[0].Kind == yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
}

// oneLine keeps a stranger's words from being more than words, in a file or on a
// terminal.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// basedOn finds the first line of what get printed.
var basedOn = regexp.MustCompile(`\A# version (\d+)\b`)

// readPolicy reads a policy's file strictly, with the line of every fault, and the
// version it was made from, if it says one.
func readPolicy(path string) (d policy.Document, base *uint64, err error) {
	var text []byte
	if path == "-" {
		text, err = io.ReadAll(os.Stdin)
		path = "(input)"
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return d, nil, fmt.Errorf("reading the policy: %w", err)
	}
	if err := decodeConfig(path, text, &d); err != nil {
		return d, nil, err
	}
	if m := basedOn.FindSubmatch(text); m != nil {
		if n, err := strconv.ParseUint(string(m[1]), 10, 64); err == nil {
			base = &n
		}
	}
	return d, base, nil
}
