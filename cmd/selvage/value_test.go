package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValues(t *testing.T) {
	long := strings.Repeat("a", 200)
	for _, c := range []struct{ name, was, is, wantWas, wantIs string }{
		{"text", `"one"`, `"two"`, "one", "two"},
		{"absent", ``, `"two"`, "-", "two"},
		{"text that looks absent", `"-"`, ``, `"-"`, "-"},
		{"number and text", `1`, `"1"`, "1", `"1"`},
		{"words of JSON", `"true"`, `true`, `"true"`, "true"},
		{"null", `null`, `"null"`, "null", `"null"`},
		{"nothing and space", `""`, `" "`, `""`, `" "`},
		{"an arrow", `"a -> b"`, `"c"`, `"a -> b"`, "c"},
		{"JSON in a text", `"{\"a\":1}"`, `{"a":1}`, `'{"a":1}'`, `{"a":1}`},
		{"an escape sequence", `"\u001b[2J"`, `"\u202e"`, `"\u001b[2J"`, `"\u202e"`},
		{"a large number", `9007199254740993`, `9007199254740992`, "9007199254740993", "9007199254740992"},
		{"an artifact", `"` + oldWheel + `"`, `"` + newWheel + `"`, "clean_orders 41ce07", "9d0211"},
		{"another artifact", `"` + oldWheel + `"`, `"x"`, "clean_orders 41ce07", "x"},
		{"an id that is not known yet", `7`, `{"\u0024ref":{"key":"jobs/new","kind":"job"}}`, "7", "(known after apply: job jobs/new)"},
		{"an id that nothing is known of", `"4f"`, `{"\u0024ref":{"key":"B \"I\" \u001b","kind":"SQL warehouse"}}`, "4f", `(the id of SQL warehouse "B \"I\" \x1b")`},
		{"what only looks like one", `7`, `{"$ref":{"key":"jobs/new","kind":"job"}}`, "7", `{"$ref":{"key":"jobs/new","kind":"job"}}`},
		{"what differs in the middle", `"` + long + "x" + long + `"`, `"` + long + "y" + long + `"`,
			"…" + strings.Repeat("a", 24) + "x" + strings.Repeat("a", margin) + "…", "…" + strings.Repeat("a", 24) + "y" + strings.Repeat("a", margin) + "…"},
		{"what differs in length", `"` + long + `"`, `"` + long + `b"`, "…" + strings.Repeat("a", 24), "…" + strings.Repeat("a", 24) + "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := func(s string) json.RawMessage {
				if s == "" {
					return nil
				}
				return json.RawMessage(s)
			}
			if was, is := values(raw(c.was), raw(c.is)); was != c.wantWas || is != c.wantIs {
				t.Errorf("%s -> %s, want %s -> %s", was, is, c.wantWas, c.wantIs)
			}
		})
	}
}

// Whatever a repository holds, what is shown is short, printable, and different where the values are.
func FuzzValues(f *testing.F) {
	f.Add(`"a"`, `"b"`)
	f.Add(`{"a":[1,"\u001b[2J"]}`, `"\ud800"`)
	f.Add(`"`+oldWheel+`"`, `"`+newWheel+`"`)
	f.Add("\"\x1b\"", "[")
	f.Fuzz(func(t *testing.T, was, is string) {
		a, b := values(json.RawMessage(was), json.RawMessage(is))
		for _, s := range []string{a, b} {
			if strings.ContainsFunc(s, hidden) || utf8.RuneCountInString(s) > widestValue {
				t.Errorf("%q is shown as %q", []string{was, is}, s)
			}
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"short", 5, "short"}, {"shorter", 5, "sh…er"}, {"größer", 5, "gr…er"}, {"ab", 1, "…"}} {
		if got := cut(c.text, c.n); got != c.want || utf8.RuneCountInString(got) > c.n {
			t.Errorf("cut(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}
