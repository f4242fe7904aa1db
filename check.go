package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// checkers make an empty configuration for each role that a file can be for.
var checkers = map[string]func() any{
	"edge":  func() any { return edgeFile() },
	"relay": func() any { return relayFile() },
	"core":  func() any { return coreFile() },
}

func newCheckCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Validate a configuration file and exit",
		Long: `check reads the file as the process would and reports every fault at once, each
with its line. The file's own key "role" says what it is for: edge, relay, core or
up. Nothing is opened, started or written.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := checkFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good, for lindero %s\n", path, role)
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the file to check")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return cmd
}

// checkFile finds out what the file is for and reads it as that role would.
func checkFile(path string) (role string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the configuration: %w", err)
	}
	role, line := roleOf(text)
	if role == "up" {
		_, err := readUp(path, text, nil)
		return role, err
	}
	checker, known := checkers[role]
	if !known {
		if _, err := parseYAML(text); err != nil {
			return "", notYAML(path, err)
		}
		return "", fmt.Errorf("%s:%d: role: must be edge, relay, core or up, not %q; it says what the file is for", path, line, role)
	}
	return role, decodeConfig(path, text, checker())
}

// roleOf looks only for the key role, in whatever else the text is.
func roleOf(text []byte) (role string, line int) {
	root, err := parseYAML(text)
	if err != nil || root == nil || root.Kind != yaml.MappingNode {
		return "", 1
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "role" {
			return root.Content[i+1].Value, root.Content[i].Line
		}
	}
	return "", 1
}
