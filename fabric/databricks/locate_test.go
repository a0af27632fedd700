package databricks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestLineOf(t *testing.T) {
	const text = `{
  "a" : "first",
  "list" : [ 1, 2,
    { "b.c" : [
      "x" ] }
  ],
  "a" : {
    "b" : "second" }, "n" : 1e999,
  "\u0061a" : null
}`
	for _, tt := range []struct {
		at   *spot
		want int
	}{
		{spotOf("a"), 7},
		{spotOf("a").member("b"), 8},
		{spotOf("n"), 8},
		{spotOf("list"), 3},
		{spotOf("list").element(1), 3},
		{spotOf("list").element(2), 4},
		{spotOf("list").element(2).member("b.c").element(0), 5},
		{spotOf("aa"), 9},
		{nil, 1},
		{spotOf("list").element(3), 0},
		{spotOf("list").member("0"), 0},
		{spotOf("a").element(0), 0},
		{spotOf("a").member("b").member("c"), 0},
		{spotOf("b"), 0},
	} {
		if line, ok := lineOf([]byte(text), tt.at); line != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s: line %d, %v; want %d", tt.at, line, ok, tt.want)
		}
	}
	if _, ok := lineOf([]byte(`{"a": [1, 2`), spotOf("a").element(1)); ok {
		t.Error("a broken text has a line")
	}
	deep := strings.Repeat(`{"a":[`, 4000)
	at := (*spot)(nil)
	for range 4000 {
		at = at.member("a").element(0)
	}
	if line, ok := lineOf([]byte(deep+"\n1"+strings.Repeat("]}", 4000)), at); line != 2 || !ok {
		t.Errorf("deep down: line %d, %v", line, ok)
	}
	if s := at.String(); len(s) > 200 {
		t.Errorf("%d bytes: %s", len(s), s)
	}
}

// TestLineOfEverything: each string of a document stands on a line of its own, which holds it.
func TestLineOfEverything(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2)), earlier: []string{"jobs/a"}}
	checked := 0
	for range 30 {
		n := 0
		request := walk(nil, g.request("x"), func(_ *spot, s string) string {
			n++
			return fmt.Sprintf("string %d: %s", n, s)
		})
		raw, err := json.MarshalIndent(request, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(raw, []byte("\n"))
		walk(nil, request, func(at *spot, s string) string {
			checked++
			mark, _, _ := strings.Cut(s, ":")
			line, ok := lineOf(raw, at)
			if !ok || !bytes.Contains(lines[line-1], []byte(`"`+mark+":")) {
				t.Errorf("%s: line %d, %v", at, line, ok)
			}
			if in := at.in(request); in != s {
				t.Errorf("%s: %v", at, in)
			}
			return s
		})
	}
	if checked < 500 {
		t.Errorf("%d strings", checked)
	}
}

func FuzzLineOf(f *testing.F) {
	f.Add(`{"a":[1,{"b":"c"}]}`, "a", 1)
	f.Add(`{"a":"\ud800","a":[[]]}`, "a", 0)
	f.Fuzz(func(t *testing.T, text, key string, i int) {
		line, ok := lineOf([]byte(text), spotOf(key).element(max(i, 0)))
		if ok && (line < 1 || line > 1+strings.Count(text, "\n")) {
			t.Errorf("line %d of %q", line, text)
		}
	})
}
