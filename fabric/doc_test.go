package fabric

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseDoc(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: `{}`, want: `{}`},
		{in: ` {"b":1,"a":[ ]} `, want: `{"a":[],"b":1}`},
		{in: `{"a":null,"b":{"c":null},"d":[null]}`, want: `{"b":{},"d":[null]}`},
		{in: `{"id":9223372036854775807,"big":123456789012345678901234567890}`, want: `{"big":123456789012345678901234567890,"id":9223372036854775807}`},
		{in: `{"a":"<&>\u2028é"}`, want: `{"a":"<&>\u2028é"}`},
		{in: `{"$ref":{"key":"jobs/a","kind":"job"}}`, want: `{"$ref":{"key":"jobs/a","kind":"job"}}`},
		{in: ``, err: "EOF"},
		{in: `null`, err: "null is not a JSON object"},
		{in: `[]`, err: "cannot unmarshal array"},
		{in: `"x"`, err: "cannot unmarshal string"},
		{in: `{"a":1`, err: "unexpected EOF"},
		{in: `{} {}`, err: "something follows"},
		{in: `{} x`, err: "something follows"},
		{in: strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), err: "exceeded max depth"},
	} {
		d, err := ParseDoc([]byte(tt.in))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || !d.IsZero() {
				t.Errorf("ParseDoc(%.60s) = %.60s, %v; want error %q and no document", tt.in, d.Canonical(), err, tt.err)
			}
			continue
		}
		if err != nil || string(d.Canonical()) != tt.want {
			t.Errorf("ParseDoc(%s) = %s, %v; want %s", tt.in, d.Canonical(), err, tt.want)
		}
	}
}

func TestNewDocTakesGoValues(t *testing.T) {
	type named string
	d := NewDoc(map[string]any{
		"int": 7, "int64": int64(-1 << 63), "uint64": uint64(1<<64 - 1), "float": 0.1, "named": named("x"),
		"list": []string{"a"}, "map": map[string]string{"k": "v"}, "nil": nil, "deep": []any{map[string]any{"n": nil, "i": 1}},
	})
	want := `{"deep":[{"i":1}],"float":0.1,"int":7,"int64":-9223372036854775808,"list":["a"],"map":{"k":"v"},"named":"x","uint64":18446744073709551615}`
	if got := string(d.Canonical()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if fields, _ := Compare(Comparison{Rules: &Rules{}, Desired: d, Live: mustDoc(t, want)}); len(fields) != 0 {
		t.Errorf("differs from its own text: %s", compact(fields))
	}
}

func TestZeroDoc(t *testing.T) {
	var zero, null Doc
	if !zero.IsZero() || zero.Digest() != "" || string(zero.Canonical()) != "null" || zero.Object() != nil || zero.At("a") != nil || len(zero.Refs()) != 0 {
		t.Errorf("zero Doc: %q %s", zero.Digest(), zero.Canonical())
	}
	if NewDoc(nil).IsZero() {
		t.Error("an empty document is taken for none")
	}
	b, err := json.Marshal(struct{ D Doc }{})
	if err != nil || string(b) != `{"D":null}` {
		t.Errorf("marshal: %s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(" null "), &null); err != nil || !null.IsZero() {
		t.Errorf("unmarshal null: %v, %s", err, null.Canonical())
	}
	if err := json.Unmarshal([]byte(`[1]`), &null); err == nil || !null.IsZero() {
		t.Errorf("unmarshal a list: %v, %s", err, null.Canonical())
	}
	if err := json.Unmarshal([]byte(`{"a":9007199254740993}`), &null); err != nil || string(null.Canonical()) != `{"a":9007199254740993}` {
		t.Errorf("unmarshal: %v, %s", err, null.Canonical())
	}
	if got := zero.Resolve(func(Ref) (any, bool) { return 1, true }); !got.IsZero() {
		t.Errorf("resolved to %s", got.Canonical())
	}
}

func TestDocRefs(t *testing.T) {
	d := mustDoc(t, `{"a":"ref jobs/b","l":[{"x":"ref jobs/a"},"ref jobs/b"],"n":1}`)
	if diff := cmp.Diff([]Ref{{"job", "jobs/a"}, {"job", "jobs/b"}}, d.Refs()); diff != "" {
		t.Error(diff)
	}
	literal := mustDoc(t, `{"a":{"$ref":{"key":"jobs/b","kind":"job"}}}`)
	if ref := mustDoc(t, `{"a":"ref jobs/b"}`); ref.Digest() == literal.Digest() || len(literal.Refs()) != 0 {
		t.Error("an object of a repository passes for a reference")
	}
	before := string(d.Canonical())
	half := d.Resolve(func(r Ref) (any, bool) { return int64(9007199254740993), r.Key == "jobs/b" })
	if want := `{"a":9007199254740993,"l":[{"x":{"\u0024ref":{"key":"jobs/a","kind":"job"}}},9007199254740993],"n":1}`; string(half.Canonical()) != want {
		t.Errorf("half resolved: %s", half.Canonical())
	}
	if diff := cmp.Diff([]Ref{{"job", "jobs/a"}}, half.Refs()); diff != "" {
		t.Error(diff)
	}
	if unknown := d.Resolve(func(Ref) (any, bool) { return nil, true }); len(unknown.Refs()) != 2 {
		t.Errorf("an id that is nothing removed the field: %s", unknown.Canonical())
	}
	if string(d.Canonical()) != before {
		t.Errorf("Resolve changed its document to %s", d.Canonical())
	}
}

func TestDocIsImmutable(t *testing.T) {
	d := mustDoc(t, `{"a":{"b":[{"c":1}]}}`)
	o := d.Object()
	o["a"].(map[string]any)["b"].([]any)[0].(map[string]any)["c"] = "changed"
	if got := string(d.Canonical()); got != `{"a":{"b":[{"c":1}]}}` {
		t.Errorf("a copy leads back into the document: %s", got)
	}
	if d.At("a", "b", "c") != nil || d.At("a", "x") != nil || d.At("a", "b") == nil {
		t.Error("At")
	}
}

func TestCanonicalNumber(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"1", "1"}, {"1.0", "1"}, {"1e0", "1"}, {"10e-1", "1"}, {"0.1E+1", "1"}, {"1E5", "100000"}, {"100e3", "100000"},
		{"0", "0"}, {"-0", "0"}, {"-0.0e5", "0"}, {"0e999999999999999999999", "0"},
		{"-12.50", "-12.5"}, {"0.0010", "0.001"}, {"1e-3", "0.001"}, {"123.456e1", "1234.56"},
		{"9007199254740993", "9007199254740993"}, {"9007199254740993.0", "9007199254740993"},
		{"18446744073709551616", "18446744073709551616"},
		{"1e999999999", "1e999999999"}, {"10e999999998", "1e999999999"}, {"-1E-999999999", "-1e-999999999"}, {"1e99999999999999999999", "1e99999999999999999999"},
		{"1" + strings.Repeat("0", 500), "1e500"}, {"0." + strings.Repeat("0", 500) + "1", "1e-501"},
		{strings.Repeat("7", 1000), strings.Repeat("7", 1000) + "e0"},
	} {
		got := canonicalNumber(json.Number(tt.in))
		if got != tt.want {
			t.Errorf("canonicalNumber(%.40s) = %.40s, want %.40s", tt.in, got, tt.want)
		}
		if again := canonicalNumber(json.Number(got)); again != got {
			t.Errorf("canonicalNumber(%.40s) = %.40s: not its own canonical form", got, again)
		}
	}
}

// TestCanonicalNumberIsExact checks against exact rational arithmetic.
func TestCanonicalNumberIsExact(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	number := func() string {
		s := strconv.Itoa(g.IntN(2000) - 1000)
		if g.IntN(2) == 0 {
			s += "." + strconv.Itoa(g.IntN(1000))
		}
		if g.IntN(2) == 0 {
			s += "e" + strconv.Itoa(g.IntN(900)-450)
		}
		return s
	}
	rational := func(s string) *big.Rat {
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q is no number", s)
		}
		return r
	}
	spelled := map[string]string{}
	for range 3000 {
		s := number()
		c := canonicalNumber(json.Number(s))
		if !json.Valid([]byte(c)) {
			t.Fatalf("canonicalNumber(%s) = %s is no JSON", s, c)
		}
		value := rational(s)
		if value.Cmp(rational(c)) != 0 {
			t.Fatalf("canonicalNumber(%s) = %s is another number", s, c)
		}
		if other, seen := spelled[value.RatString()]; seen && other != c {
			t.Fatalf("%s has two spellings: %s and %s", s, c, other)
		}
		spelled[value.RatString()] = c
	}
}

func TestNumbersAreCheap(t *testing.T) {
	start := time.Now()
	for _, s := range []string{"1e999999999", "-1.5e-999999999", "1e140737488355327", strings.Repeat("9", 1_000_000) + "." + strings.Repeat("9", 1_000_000) + "e-7"} {
		d := mustDoc(t, `{"n":`+s+`,"l":[`+s+`]}`)
		_ = d.Digest()
		Compare(Comparison{Rules: testRules, Desired: d, Live: mustDoc(t, `{"n":1e5,"l":[]}`)})
	}
	if took := time.Since(start); took > 5*time.Second { // thousands of times what it takes; an expanded exponent takes minutes
		t.Errorf("took %v", took)
	}
}

// FuzzParseDoc looks for a panic and for a document that its own canonical text does not give back.
func FuzzParseDoc(f *testing.F) {
	for _, s := range []string{`{"a":[1.0,1e0,-0,1e999999999,1e-400]}`, `{"a":{"$ref":{}}}`, "{\"\xff\":\"\xff\u2028\"}", `{"a":1,"a":null}`, `null`, `{"a":"\ud800"}`, `{}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDoc(b)
		if err != nil {
			if !d.IsZero() {
				t.Fatalf("error %v and a document %s", err, d.Canonical())
			}
			return
		}
		again, err := ParseDoc(d.Canonical())
		if err != nil {
			t.Fatalf("canonical form %q: %v", d.Canonical(), err)
		}
		if again.Digest() != d.Digest() {
			t.Fatalf("%q gives %q, which gives %q", b, d.Canonical(), again.Canonical())
		}
		if fields, _ := Compare(Comparison{Rules: &Rules{}, Desired: d, Live: again}); len(fields) > 0 {
			t.Fatalf("differs from its canonical form: %s", compact(fields))
		}
	})
}
