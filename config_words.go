package main

import (
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// kindOf says in a person's words what stands in the file.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// wordFor says in a person's words what a setting wants.
func wordFor(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "a time such as 30s"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, not negative"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a text"
	}
}

// wordForText is wordFor what is written as text and whose own errors speak to
// programmers; "" for others.
func wordForText(v any) string {
	switch v.(type) {
	case *netip.AddrPort:
		return "an IP address and a port, such as 127.0.0.1:5060"
	case *netip.Addr:
		return "an IP address"
	case *netip.Prefix:
		return "a prefix, such as 203.0.113.0/24"
	case *time.Time:
		return "a moment, such as 2027-01-31T12:00:00Z"
	case *slog.Level:
		return "debug, info, warn or error"
	default:
		return ""
	}
}

func sortedKeys(m map[string]reflect.Value) []string { return slices.Sorted(maps.Keys(m)) }
