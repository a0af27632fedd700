package fabric

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
)

// Doc is a JSON object with exact numbers: a job's settings. It is immutable; its zero value is no
// document at all. Besides JSON values it may hold a Ref where the value is an id that is not known yet.
type Doc struct {
	root map[string]any
	lazy *lazy // in place of root, or where root came from
}

// Ref stands in a Doc for the id of another resource of the same deployment.
type Ref struct {
	Kind Kind
	Key  Key
}

// ParseDoc reads one JSON object. Numbers keep every digit. Anything but an object is an error: a
// null is not an empty document.
func ParseDoc(b []byte) (Doc, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var root map[string]any
	if err := dec.Decode(&root); err != nil {
		return Doc{}, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return Doc{}, errors.New("something follows the JSON object")
	}
	if root == nil {
		return Doc{}, errors.New("null is not a JSON object")
	}
	return NewDoc(root), nil
}

// NewDoc takes over a decoded JSON object: strings, bools, numbers, nil, []any, map[string]any and
// Ref. Members that are null are dropped: to every service they are absent. The caller must not
// change it afterwards.
func NewDoc(root map[string]any) Doc {
	if root == nil {
		root = map[string]any{}
	}
	normal(root)
	return Doc{root: root}
}

// IsZero reports that there is no document.
func (d Doc) IsZero() bool { return d.root == nil && d.lazy == nil }

// Object returns a deep copy of the content that the caller may change.
func (d Doc) Object() map[string]any {
	if d.root == nil && d.lazy != nil {
		return d.lazy.load()
	}
	if d.root == nil {
		return nil
	}
	return clone(d.root).(map[string]any)
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = clone(e)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = clone(e)
		}
		return s
	}
	return v
}

// At returns the value under the object keys, or nil.
func (d Doc) At(keys ...string) any {
	var v any = d.content()
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// Refs are the references in the document, each once, in the order of their keys.
func (d Doc) Refs() []Ref {
	if d.lazy != nil {
		return nil // what is kept as text has none
	}
	seen := map[Ref]bool{}
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case Ref:
			seen[v] = true
		case map[string]any:
			for _, e := range v {
				visit(e)
			}
		case []any:
			for _, e := range v {
				visit(e)
			}
		}
	}
	visit(d.root)
	return slices.SortedFunc(maps.Keys(seen), func(a, b Ref) int {
		return strings.Compare(string(a.Kind)+string(a.Key), string(b.Kind)+string(b.Key))
	})
}

// Resolve returns the document with each Ref replaced by what id gives for it; one that id does
// not know stays.
func (d Doc) Resolve(id func(Ref) (any, bool)) Doc {
	if len(d.Refs()) == 0 {
		return d
	}
	var replace func(any) any
	replace = func(v any) any {
		switch v := v.(type) {
		case Ref:
			if known, ok := id(v); ok && known != nil {
				return known
			}
		case map[string]any:
			m := make(map[string]any, len(v))
			for k, e := range v {
				m[k] = replace(e)
			}
			return m
		case []any:
			s := make([]any, len(v))
			for i, e := range v {
				s[i] = replace(e)
			}
			return s
		}
		return v
	}
	return NewDoc(replace(d.root).(map[string]any))
}

// Canonical is the document as JSON with sorted keys, no space, and one spelling for each number.
func (d Doc) Canonical() []byte {
	if d.lazy != nil && d.lazy.canonical != nil {
		return slices.Clone(d.lazy.canonical)
	}
	root := d.content()
	if root == nil {
		return []byte("null")
	}
	var b bytes.Buffer
	writeCanonical(&b, root)
	return slices.Clone(b.Bytes()) // what is kept is as long as it is: a buffer doubles
}

// MarshalJSON is Canonical.
func (d Doc) MarshalJSON() ([]byte, error) { return d.Canonical(), nil }

// UnmarshalJSON is ParseDoc; null gives the zero Doc.
func (d *Doc) UnmarshalJSON(b []byte) error {
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		*d = Doc{}
		return nil
	}
	var err error
	*d, err = ParseDoc(b)
	return err
}

// Digest is the SHA-256 of Canonical in hex; empty for the zero Doc.
func (d Doc) Digest() string {
	switch {
	case d.lazy != nil && d.lazy.exact:
		return d.lazy.origin()
	case d.IsZero():
		return ""
	}
	return digestOfText(d.Canonical())
}

func canonical(v any) string {
	var b bytes.Buffer
	writeCanonical(&b, v)
	return b.String()
}

func writeCanonical(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, k)
			b.WriteByte(':')
			writeCanonical(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeCanonical(b, e)
		}
		b.WriteByte(']')
	case string:
		writeString(b, v)
	case json.Number:
		b.WriteString(canonicalNumber(v))
	case bool:
		if v {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	case Ref:
		b.WriteString(`{"\u0024ref":{"key":`) // spelled as no other text ever is: what a repository holds is not taken for a Ref
		writeString(b, string(v.Key))
		b.WriteString(`,"kind":`)
		writeString(b, string(v.Kind))
		b.WriteString(`}}`)
	default:
		b.WriteString("null")
	}
}

func writeString(b *bytes.Buffer, s string) {
	if plain(s) {
		b.WriteByte('"')
		b.WriteString(s)
		b.WriteByte('"')
		return
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

// plain reports that a string stands in JSON as it is. Nearly all do, and an encoder costs more than the string.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
