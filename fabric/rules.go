package fabric

import "encoding/json"

// Rules say how documents of one kind are compared. Paths in them are shapes: object keys joined by
// dots, with [] for each list ("tasks[].libraries[]"); a trailing ".*" stands for any one key below.
type Rules struct {
	// Keys name the field that identifies the elements of a list; the list's order then means nothing.
	Keys map[string]string
	// KeyFuncs identify elements that no single field does.
	KeyFuncs map[string]func(element any) string
	// Sets are lists whose order means nothing and whose elements have no name.
	Sets map[string]bool
	// Defaults are what the fabric fills in where desired says nothing.
	Defaults map[string]Default
	// WriteOnly fields are accepted and never read back: desired is compared with what was last sent.
	WriteOnly map[string]bool
	// OutputOnly fields are the fabric's own.
	OutputOnly map[string]bool
	// Aliases are further spellings that the fabric may give back for a value we sent.
	Aliases map[string]func(desired, live string) bool
	// Folded are strings whose upper and lower case mean the same, as those of e-mail addresses.
	Folded map[string]bool
	// Renamed are fields with two names, of which the fabric may give back either, or both, whichever was sent: for
	// the shape of an object, the one name and the other.
	Renamed map[string][2]string
	// Injected are objects in which a policy may add fields and map keys of its own, when the
	// field named Policy in them is set.
	Injected map[string]string
	// Rest is a definition changed so that nothing starts the resource by itself any more, under another name
	// unless that is empty or the kind's names can't change. sent is what was last sent, for fields that are not
	// read back. Nil for a kind that nothing starts by itself.
	Rest func(live, sent Doc, name string) Doc
	// Implied is what is live as it is compared with desired: without what follows from desired although desired does
	// not say it. Nil where nothing does.
	Implied func(desired, live Doc) Doc
	// Stands are fields that people may set by hand to mean it, with the value that does, as canonical JSON: the pause of a
	// job. Such a difference is shown and not put right.
	Stands map[string]string
	// Rival guesses who else writes to a resource, from fields that drifted and what is live; empty for no idea. sure is set
	// where the fields themselves give somebody away. Nil where there is nothing to guess from.
	Rival func(drift []Field, live Doc) (who string, sure bool)
	// Endless reports a definition whose runs do not end, so that a running one never gets another definition by itself.
	// Nil where no run can be restarted.
	Endless func(Doc) bool
	// Label reports that a field by its name alone only says which release this is.
	Label func(key string) bool
}

// Default says which live values of a field that desired leaves out are no difference, and which
// desired values the fabric may leave out.
type Default struct {
	Any    bool     // any live value; what desired names is compared all the same
	Values []string // canonical JSON of each
}

// AnyValue accepts whatever the fabric filled in. What was there because we sent it is not filled in: taking it out of a
// definition is a change.
var AnyValue = Default{Any: true}

// Value accepts the given values, each as canonical JSON.
func Value(canonical ...string) Default { return Default{Values: canonical} }

func (d Default) accepts(v any) bool {
	if d.Any {
		return true
	}
	c := canonical(v)
	for _, want := range d.Values {
		if c == want {
			return true
		}
	}
	return false
}

// fieldDefault finds the rule for the key of an object: by its own name, or for any key there.
func (r *Rules) fieldDefault(object, key string) (Default, bool) {
	if d, ok := r.Defaults[join(object, key)]; ok {
		return d, true
	}
	d, ok := r.Defaults[join(object, "*")]
	return d, ok
}

// join is the shape of an object's key. No rule speaks of a key that is longer than any name.
func join(shape, key string) string {
	if len(key) > longestName {
		key = "\x00"
	}
	if shape == "" {
		return key
	}
	return shape + "." + key
}

// elementKey is the name of a list element, and false where the list is compared otherwise.
func (r *Rules) elementKey(listShape string, e any) (string, bool) {
	if field, ok := r.Keys[listShape]; ok {
		m, _ := e.(map[string]any)
		switch k := m[field].(type) {
		case string:
			return k, true
		case json.Number:
			return canonicalNumber(k), true
		}
		return "", false
	}
	if f, ok := r.KeyFuncs[listShape]; ok {
		return f(e), true
	}
	return "", false
}
