package main

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readConfig decodes the YAML (or JSON) file over the defaults that into, a
// pointer to a struct, already holds, and then asks its Validate. The error names
// every fault of the file at once, each with its line, so that nobody repairs a
// file one line at a time.
func readConfig(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	return decodeConfig(path, text, into)
}

// decodeConfig is readConfig for text that was read from the file called name.
func decodeConfig(name string, text []byte, into any) error {
	d, err := decodeOver(name, text, into)
	if err != nil {
		return err
	}
	d.validate(into)
	return d.err()
}

// decodeOver decodes without asking Validate. The error is for text that cannot
// be read at all; other faults stay in the decoder until its err is asked.
func decodeOver(name string, text []byte, into any) (*configDecoder, error) {
	d := &configDecoder{name: name, lines: map[string]int{"": 1}}
	root, err := parseYAML(text)
	if err != nil {
		return nil, notYAML(name, err)
	}
	if root != nil {
		d.decode(root, reflect.ValueOf(into).Elem(), "")
	}
	return d, nil
}

// parseYAML returns the one document of text, nil when it is empty.
func parseYAML(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case err != nil && err.Error() == "EOF":
		return nil, nil
	case err != nil:
		return nil, err
	}
	if dec.Decode(&more) == nil {
		return nil, fmt.Errorf("yaml: line %d: a second document; one file configures one process", more.Line)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

// A configDecoder walks the YAML tree and the Go value together. Unlike the
// library's own decoding it goes on after a fault, and remembers the line of
// every key, for the faults that Validate finds later.
type configDecoder struct {
	name   string // of the file
	faults []fault
	lines  map[string]int // "relays[0].ng" → line
	bad    []string       // paths that already have a fault
}

type fault struct {
	line int
	text string
}

func (d *configDecoder) fault(n *yaml.Node, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	d.faults = append(d.faults, fault{n.Line, text})
	d.bad = append(d.bad, path)
}

func (d *configDecoder) decode(n *yaml.Node, v reflect.Value, path string) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if _, known := d.lines[path]; !known || path == "" {
		d.lines[path] = n.Line
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		d.fault(n, path, "empty; give it a value or remove the key")
		return
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, text, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.sequence(n, v, path)
	case reflect.Map:
		d.table(n, v, path)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	default:
		d.scalar(n, v, path)
	}
}

func (d *configDecoder) text(n *yaml.Node, into encoding.TextUnmarshaler, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, path, "wants one value, not %s", kindOf(n))
		return
	}
	err := into.UnmarshalText([]byte(n.Value))
	if word := wordForText(into); err != nil && word != "" {
		d.fault(n, path, "%q is not %s", n.Value, word)
	} else if err != nil {
		d.fault(n, path, "%q: %v", n.Value, err)
	}
}

func (d *configDecoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, path, "wants %s, not %s", wordFor(v.Type()), kindOf(n))
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		d.fault(n, path, "%q is not %s", n.Value, wordFor(v.Type()))
	}
}

func (d *configDecoder) sequence(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "wants a list, not %s", kindOf(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.decode(item, list.Index(i), path+"["+strconv.Itoa(i)+"]")
	}
	v.Set(list)
}

func (d *configDecoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "wants keys and values, not %s", kindOf(n))
		return
	}
	fields := map[string]reflect.Value{}
	fieldsOf(v, fields)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		if before, twice := seen[key.Value]; twice {
			d.fault(key, at, "here a second time; first on line %d", before)
			continue
		}
		seen[key.Value] = key.Line
		field, known := fields[key.Value]
		if !known {
			d.fault(key, at, "unknown key; known here: %s", strings.Join(sortedKeys(fields), ", "))
			continue
		}
		d.lines[at] = key.Line
		d.decode(value, field, at)
	}
}

// table decodes keys that are the file's own, such as names of services.
func (d *configDecoder) table(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "wants keys and values, not %s", kindOf(n))
		return
	}
	table := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, at := n.Content[i], path+"."+n.Content[i].Value
		name := reflect.New(v.Type().Key()).Elem()
		name.SetString(key.Value)
		if table.MapIndex(name).IsValid() {
			d.fault(key, at, "here a second time; first on line %d", d.lines[at])
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		d.lines[at] = key.Line
		d.decode(n.Content[i+1], value, at)
		table.SetMapIndex(name, value)
	}
	v.Set(table)
}

// fieldsOf collects the fields of a struct by their yaml keys, through inlined ones.
func fieldsOf(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || key == "-":
		case options == "inline":
			fieldsOf(v.Field(i), into)
		case key != "":
			into[key] = v.Field(i)
		default:
			into[strings.ToLower(f.Name)] = v.Field(i)
		}
	}
}

// A line of a Validate error begins with the path of the key it is about.
var faultPath = regexp.MustCompile(`^([a-z0-9_]+(?:\[\d+\])?(?:\.[a-z0-9_]+(?:\[\d+\])?)*): `)

// validate takes in what the configuration's Validate finds, save what is already
// known to be bad.
func (d *configDecoder) validate(config any) {
	v, ok := config.(interface{ Validate() error })
	if !ok {
		return
	}
	err := v.Validate()
	if err == nil {
		return
	}
	for text := range strings.SplitSeq(err.Error(), "\n") {
		path := ""
		if m := faultPath.FindStringSubmatch(text); m != nil {
			path = m[1]
		}
		if path == "" || !slices.ContainsFunc(d.bad, func(bad string) bool { return overlap(bad, path) }) {
			d.faults = append(d.faults, fault{d.lineOf(path), text})
		}
	}
}

// overlap tells whether one path is the other or holds it.
func overlap(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || a == "" || strings.HasPrefix(b, a+".") || strings.HasPrefix(b, a+"[")
}

// lineOf is the line of path, or of the nearest thing around it that is written.
func (d *configDecoder) lineOf(path string) int {
	for {
		if line, ok := d.lines[path]; ok {
			return line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return d.lines[""]
		}
		path = path[:cut]
	}
}

// err is every fault, in the order of lines.
func (d *configDecoder) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b fault) int { return a.line - b.line })
	errs := make([]error, len(d.faults))
	for i, f := range d.faults {
		errs[i] = fmt.Errorf("%s:%d: %s", d.name, f.line, f.text)
	}
	return errors.Join(errs...)
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)`)

// notYAML says where the parser gave up; after that nothing can be read.
func notYAML(name string, err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s: not YAML: %s", name, m[1], m[2])
	}
	return fmt.Errorf("%s: not YAML: %w", name, err)
}
