package reconciler_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// shape is a definition of testdata/shapes: NAME.json is a committed request; NAME.grown makes one that nobody wants
// to read, see grow; NAME.expect says in one line what it is refused with, and where: "CODE FIELD", or
// "fabric_refused TEXT" where the workspace refuses it with that text in its message.
type shape struct {
	name    string
	request map[string]any
	code    configs.Code // empty where it is deployed
	says    string
	size    int // bytes of the request, about
}

func (s shape) key() fabric.Key { return fabric.Key("jobs/" + s.name) }

func loadShapes(t *testing.T) []shape {
	t.Helper()
	const dir = "../testdata/shapes"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var shapes []shape
	expects := map[string]string{}
	for _, e := range entries {
		kind := filepath.Ext(e.Name())
		s := shape{name: strings.TrimSuffix(e.Name(), kind)}
		switch kind {
		case ".json":
			s.request = decoded(t, read(e.Name()))
		case ".grown":
			s.request = grow(t, decoded(t, read(e.Name())))
		case ".expect":
			expects[s.name] = strings.TrimSpace(string(read(e.Name())))
			continue
		default:
			t.Fatalf("%s: a shape is a .json, a .grown or an .expect file", e.Name())
		}
		s.size = len(text(s.request))
		shapes = append(shapes, s)
	}
	for i, s := range shapes {
		code, says, _ := strings.Cut(expects[s.name], " ")
		shapes[i].code, shapes[i].says = configs.Code(code), says
		delete(expects, s.name)
	}
	if len(expects) > 0 {
		t.Fatalf("no definitions for what is expected of %v", expects)
	}
	return shapes
}

func decoded(t *testing.T, text []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("%.60s: %v", text, err)
	}
	return m
}

// grow makes a request from "request" and "grow". Each entry of "grow" adds times copies of element to the list at
// a path, or to an object, under keys; %d in them is the number of the copy. Or it adds times copies of text to a string.
func grow(t *testing.T, file map[string]any) map[string]any {
	t.Helper()
	request := file["request"].(map[string]any)
	for _, e := range file["grow"].([]any) {
		g := e.(map[string]any)
		times, err := g["times"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		var way []any
		for _, step := range g["at"].([]any) {
			if n, ok := step.(json.Number); ok {
				i, err := strconv.Atoi(n.String())
				if err != nil {
					t.Fatal(err)
				}
				step = i
			}
			way = append(way, step)
		}
		switch old := valueAt(request, way).(type) {
		case string:
			putAt(request, way, old+strings.Repeat(g["text"].(string), int(times)))
		case []any:
			for n := range times {
				old = append(old, numbered(g["element"], n))
			}
			putAt(request, way, old)
		case map[string]any:
			for n := range times {
				old[numbered(g["keys"], n).(string)] = numbered(g["element"], n)
			}
		default:
			t.Fatalf("nothing to grow at %v", way)
		}
	}
	return request
}

func numbered(v any, n int64) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "%d", fmt.Sprint(n))
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = numbered(e, n)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = numbered(e, n)
		}
		return l
	}
	return v
}

// valueAt is the value at a way of keys and indexes; nil where there is none.
func valueAt(v any, way []any) any {
	for _, step := range way {
		switch c := v.(type) {
		case map[string]any:
			key, _ := step.(string)
			v = c[key]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(c) {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

// putAt sets the value at a way that leads somewhere; nil removes it.
func putAt(v any, way []any, value any) {
	last := len(way) - 1
	switch c := valueAt(v, way[:last]).(type) {
	case map[string]any:
		if value == nil {
			delete(c, way[last].(string))
			return
		}
		c[way[last].(string)] = value
	case []any:
		if value == nil {
			putAt(v, way[:last], slices.Delete(slices.Clone(c), way[last].(int), way[last].(int)+1))
			return
		}
		c[way[last].(int)] = value
	}
}

func copyOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copyOf(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = copyOf(e)
		}
		return l
	}
	return v
}

// committed is a release of the shapes. With an rng, the members of objects and the elements of lists without an
// order are committed in another order.
func committed(t *testing.T, shapes []shape, rng *rand.Rand) *artifacts.Release {
	t.Helper()
	r := &artifacts.Release{Project: "shapes", Commit: "c0ffee", Digest: "d"}
	for _, s := range shapes {
		file := map[string]any{"fabric_id": "17", "components": []any{}, "request": s.request}
		if rng != nil {
			file["request"] = shuffled(copyOf(s.request), "", rng)
		}
		name, _ := s.request["name"].(string)
		r.Jobs = append(r.Jobs, artifacts.Job{Key: string(s.key()), Name: name, FabricID: "17", Scheduler: "Databricks",
			File: string(s.key()) + "/code/databricks-job.json", Raw: written(file, rng)})
	}
	return r
}

// shuffled changes the order of each list whose order means nothing.
func shuffled(v any, at string, rng *rand.Rand) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = shuffled(e, under(at, k), rng)
		}
	case []any:
		for i, e := range v {
			v[i] = shuffled(e, at+"[]", rng)
		}
		if _, kind := listAt(at); kind != ordered {
			rng.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		}
	}
	return v
}

// written is JSON whose members come in an order of the rng's.
func written(v any, rng *rand.Rand) []byte {
	m, isMap := v.(map[string]any)
	l, isList := v.([]any)
	var b []byte
	switch {
	case isMap && rng != nil:
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for i, k := range keys {
			b = append(append(append(append(b, "{,"[min(i, 1)]), written(k, nil)...), ':'), written(m[k], rng)...)
		}
		return append(cutOpen(b, '{'), '}')
	case isList && rng != nil:
		for i, e := range l {
			b = append(append(b, "[,"[min(i, 1)]), written(e, rng)...)
		}
		return append(cutOpen(b, '['), ']')
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what a decoder made always encodes
	}
	return b
}

// cutOpen opens what turned out to be empty.
func cutOpen(b []byte, open byte) []byte {
	if len(b) == 0 {
		return []byte{open}
	}
	return b
}
