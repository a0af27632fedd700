package fabric

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mustDoc parses text, where 'ref KEY' in a string stands for a Ref to a job.
func mustDoc(t testing.TB, text string) Doc {
	t.Helper()
	if text == "" {
		return Doc{}
	}
	d, err := ParseDoc([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	root := d.Object()
	withRefs(root)
	return NewDoc(root)
}

func withRefs(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = withRefs(e)
		}
	case []any:
		for i, e := range v {
			v[i] = withRefs(e)
		}
	case string:
		if key, ok := strings.CutPrefix(v, "ref "); ok {
			return Ref{Kind: "job", Key: Key(key)}
		}
	}
	return v
}

var testRules = &Rules{
	Keys: map[string]string{
		"tasks":              "task_key",
		"tasks[].depends_on": "task_key",
		"parameters":         "name",
		"numbered":           "id",
	},
	KeyFuncs: map[string]func(any) string{
		"tasks[].libraries": func(e any) string {
			m, _ := e.(map[string]any)
			if whl, ok := m["whl"].(string); ok {
				return "whl " + whl[strings.LastIndexByte(whl, '/')+1:]
			}
			return canonical(e)
		},
	},
	Sets:    map[string]bool{"emails": true, "tasks[].table_names": true},
	Folded:  map[string]bool{"emails[]": true},
	Renamed: map[string][2]string{"spec": {"client", "version"}},
	Defaults: map[string]Default{
		"timeout_seconds":                    Value("0"),
		"tasks[].run_if":                     Value(`"ALL_SUCCESS"`),
		"queue":                              Value(`{"enabled":false}`),
		"run_as":                             AnyValue,
		"tasks[].new_cluster.aws_attributes": AnyValue,
		"attributes.*":                       AnyValue,
	},
	WriteOnly:  map[string]bool{"acl": true, "trigger.condition": true},
	OutputOnly: map[string]bool{"job_id": true, "tasks[].effective": true},
	Aliases: map[string]func(string, string) bool{
		"tasks[].new_cluster.mode": func(d, l string) bool { return d == "STANDARD" && l == "USER_ISOLATION" },
		"provider":                 strings.EqualFold,
	},
	Injected: map[string]string{"tasks[].new_cluster": "policy_id"},
	Label:    func(key string) bool { return strings.HasSuffix(key, "metadata.job.branch") },
}

func TestCompare(t *testing.T) {
	f := func(path, old, new string, cause Cause) Field {
		raw := func(s string) json.RawMessage {
			if s == "" {
				return nil
			}
			return json.RawMessage(s)
		}
		return Field{Path: path, Old: raw(old), New: raw(new), Cause: cause}
	}
	for _, tt := range []struct {
		name                      string
		desired, live, sent, read string
		labels                    map[string]Label
		overlaid                  map[string]bool
		want                      []Field
		wantLabels                int
	}{
		// scalars, absence, numbers
		{name: "equal", desired: `{"a":1,"b":{"c":[1,"x",true]}}`, live: `{"b":{"c":[1,"x",true]},"a":1}`},
		{name: "changed", desired: `{"a":"new"}`, live: `{"a":"old"}`, want: []Field{f("a", `"old"`, `"new"`, Commit)}},
		{name: "added", desired: `{"a":"x"}`, live: `{}`, want: []Field{f("a", "", `"x"`, Commit)}},
		{name: "removed", desired: `{}`, live: `{"a":"x"}`, want: []Field{f("a", `"x"`, "", Commit)}},
		{name: "null is absence", desired: `{"a":null,"b":{"c":null}}`, live: `{"d":null}`},
		{name: "null in an element is absence", desired: `{"emails":[{"a":1,"b":null}]}`, live: `{"emails":[{"a":1}]}`},
		{name: "empty string is a value", desired: `{"a":""}`, live: `{}`, want: []Field{f("a", "", `""`, Commit)}},
		{name: "false is a value", desired: `{"a":false}`, live: `{}`, want: []Field{f("a", "", "false", Commit)}},
		{name: "zero is a value", desired: `{}`, live: `{"a":0}`, want: []Field{f("a", "0", "", Commit)}},
		{name: "empties are absence", desired: `{"a":{},"b":[]}`, live: `{"c":{},"d":[]}`},
		{name: "empties inside what only one side has", desired: `{"a":{"b":{"c":{}}}}`, live: `{}`},
		{name: "empty object and full object", desired: `{"a":{}}`, live: `{"a":{"b":1}}`, want: []Field{f("a.b", "1", "", Commit)}},
		{name: "64-bit ids differ in the last digit", desired: `{"id":9223372036854775807}`, live: `{"id":9223372036854775806}`,
			want: []Field{f("id", "9223372036854775806", "9223372036854775807", Commit)}},
		{name: "2^53 and 2^53+1", desired: `{"id":9007199254740993}`, live: `{"id":9007199254740992}`,
			want: []Field{f("id", "9007199254740992", "9007199254740993", Commit)}},
		{name: "spellings of one number", desired: `{"a":1,"b":[1.0],"c":-0}`, live: `{"a":1e0,"b":[10e-1],"c":0.0}`},
		{name: "number and string", desired: `{"a":"1"}`, live: `{"a":1}`, want: []Field{f("a", "1", `"1"`, Commit)}},
		{name: "object and string", desired: `{"a":{"b":1}}`, live: `{"a":"b"}`, want: []Field{f("a", `"b"`, `{"b":1}`, Commit)}},
		{name: "object and list", desired: `{"a":{"b":1}}`, live: `{"a":[1]}`, want: []Field{f("a", `[1]`, `{"b":1}`, Commit)}},
		{name: "reference and number", desired: `{"job_id2":"ref jobs/a"}`, live: `{"job_id2":7}`,
			want: []Field{f("job_id2", "7", `{"\u0024ref":{"key":"jobs/a","kind":"job"}}`, Commit)}},
		{name: "reference and itself", desired: `{"x":"ref jobs/a"}`, live: `{"x":"ref jobs/a"}`},

		// defaults
		{name: "default filled in", desired: `{"tasks":[{"task_key":"a"}]}`, live: `{"timeout_seconds":0,"tasks":[{"task_key":"a","run_if":"ALL_SUCCESS"}]}`},
		{name: "default left out by the fabric", desired: `{"timeout_seconds":0,"queue":{"enabled":false}}`, live: `{}`},
		{name: "not the default", desired: `{}`, live: `{"timeout_seconds":60}`, want: []Field{f("timeout_seconds", "60", "", Commit)}},
		{name: "any value filled in", desired: `{"tasks":[{"task_key":"a","new_cluster":{}}]}`,
			live: `{"run_as":{"user_name":"x"},"attributes":{"zone":"a"},"tasks":[{"task_key":"a","new_cluster":{"aws_attributes":{"zone_id":"auto"}}}]}`},
		{name: "any value does not excuse a lack of what desired names", desired: `{"run_as":{"user_name":"x"}}`, live: `{}`,
			want: []Field{f("run_as.user_name", "", `"x"`, Commit)}},
		{name: "what desired names in a block of any value counts", desired: `{"run_as":{"user_name":"x"}}`, live: `{"run_as":{"user_name":"y"}}`,
			want: []Field{f("run_as.user_name", `"y"`, `"x"`, Commit)}},

		// keyed lists
		{name: "tasks in another order", desired: `{"tasks":[{"task_key":"a","n":1},{"task_key":"b"}]}`, live: `{"tasks":[{"task_key":"b"},{"task_key":"a","n":1}]}`},
		{name: "task added", desired: `{"tasks":[{"task_key":"a"},{"task_key":"b","n":1}]}`, live: `{"tasks":[{"task_key":"a"}]}`,
			want: []Field{f("tasks[b]", "", `{"n":1,"task_key":"b"}`, Commit)}},
		{name: "task removed", desired: `{"tasks":[{"task_key":"a"}]}`, live: `{"tasks":[{"task_key":"b"},{"task_key":"a"}]}`,
			want: []Field{f("tasks[b]", `{"task_key":"b"}`, "", Commit)}},
		{name: "task changed", desired: `{"tasks":[{"task_key":"b"},{"task_key":"a","n":1}]}`, live: `{"tasks":[{"task_key":"a","n":2},{"task_key":"b"}]}`,
			want: []Field{f("tasks[a].n", "2", "1", Commit)}},
		{name: "list of keyed elements on one side only", desired: `{"tasks":[{"task_key":"a"}]}`, live: `{}`,
			want: []Field{f("tasks[a]", "", `{"task_key":"a"}`, Commit)}},
		{name: "keys that are numbers", desired: `{"numbered":[{"id":1.0,"n":1},{"id":2}]}`, live: `{"numbered":[{"id":2},{"id":1,"n":1}]}`},
		{name: "equal twins", desired: `{"tasks":[{"task_key":"a"},{"task_key":"a"},{"task_key":"a"}]}`, live: `{"tasks":[{"task_key":"a"},{"task_key":"a"}]}`,
			want: []Field{f("tasks[a #3]", "", `{"task_key":"a"}`, Commit)}},
		{name: "twins in another order", desired: `{"tasks":[{"task_key":"a","n":1},{"task_key":"a","n":2}]}`, live: `{"tasks":[{"task_key":"a","n":2},{"task_key":"a","n":1}]}`},
		{name: "a name like a twin's", desired: `{"tasks":[{"task_key":"a"},{"task_key":"a"},{"task_key":"a #2"}]}`, live: `{"tasks":[{"task_key":"a"}]}`,
			want: []Field{f("tasks[\"a #2\"]", "", `{"task_key":"a #2"}`, Commit), f("tasks[a #2]", "", `{"task_key":"a"}`, Commit)}},
		{name: "element without a key is compared in order", desired: `{"tasks":[{"n":1},{"task_key":"b"}]}`, live: `{"tasks":[{"n":2},{"task_key":"b"}]}`,
			want: []Field{f("tasks[0].n", "2", "1", Commit)}},
		{name: "named by a function", desired: `{"tasks":[{"task_key":"a","libraries":[{"whl":"/new/x.whl"},{"pypi":{"package":"q"}}]}]}`,
			live: `{"tasks":[{"task_key":"a","libraries":[{"pypi":{"package":"q"}},{"whl":"/old/x.whl"}]}]}`,
			want: []Field{f("tasks[a].libraries[whl x.whl].whl", `"/old/x.whl"`, `"/new/x.whl"`, Commit)}},
		{name: "a removed element is shown in one order", desired: `{}`, live: `{"tasks":[{"task_key":"a","depends_on":[{"task_key":"z"},{"task_key":"b"}]}]}`,
			want: []Field{f("tasks[a]", `{"depends_on":[{"task_key":"b"},{"task_key":"z"}],"task_key":"a"}`, "", Commit)}},

		// sets and ordered lists
		{name: "set in another order", desired: `{"emails":["a","b","b"]}`, live: `{"emails":["b","a","b"]}`},
		{name: "set counts its elements", desired: `{"emails":["a","b"]}`, live: `{"emails":["b","a","b"]}`,
			want: []Field{f("emails", `["a","b","b"]`, `["a","b"]`, Commit)}},
		{name: "ordered list in another order", desired: `{"args":["a","b"]}`, live: `{"args":["b","a"]}`,
			want: []Field{f("args[0]", `"b"`, `"a"`, Commit), f("args[1]", `"a"`, `"b"`, Commit)}},
		{name: "ordered list of another length", desired: `{"args":["a"]}`, live: `{"args":["a","b"]}`,
			want: []Field{f("args", `["a","b"]`, `["a"]`, Commit)}},
		{name: "ordered objects by index", desired: `{"init":[{"f":"1"},{"f":"2"}]}`, live: `{"init":[{"f":"1"},{"f":"3"}]}`,
			want: []Field{f("init[1].f", `"3"`, `"2"`, Commit)}},
		{name: "null in a list is an element", desired: `{"args":[null,"b"]}`, live: `{"args":["a","b"]}`,
			want: []Field{f("args[0]", `"a"`, "", Commit)}},

		// write-only, output-only, aliases
		{name: "write-only as sent", desired: `{"acl":["x"]}`, live: `{}`, sent: `{"acl":["x"]}`, read: `{}`},
		{name: "write-only changed", desired: `{"acl":["y"]}`, live: `{}`, sent: `{"acl":["x"]}`, read: `{}`,
			want: []Field{f("acl", `["x"]`, `["y"]`, Commit)}},
		{name: "write-only no longer desired", desired: `{}`, live: `{}`, sent: `{"acl":["x"]}`, read: `{}`,
			want: []Field{f("acl", `["x"]`, "", Commit)}},
		{name: "write-only below what is the same", desired: `{"trigger":{"on":"t"}}`, live: `{"trigger":{"on":"t"}}`, sent: `{"trigger":{"on":"t","condition":"c"}}`, read: `{"trigger":{"on":"t"}}`,
			want: []Field{f("trigger.condition", `"c"`, "", Commit)}},
		{name: "write-only of what we never wrote", desired: `{"acl":["y"]}`, live: `{}`},
		{name: "output-only", desired: `{"tasks":[{"task_key":"a"}]}`, live: `{"job_id":7,"tasks":[{"task_key":"a","effective":"x"}]}`},
		{name: "alias", desired: `{"provider":"gitHub","tasks":[{"task_key":"a","new_cluster":{"mode":"STANDARD"}}]}`, live: `{"provider":"GITHUB","tasks":[{"task_key":"a","new_cluster":{"mode":"USER_ISOLATION"}}]}`},
		{name: "no alias", desired: `{"tasks":[{"task_key":"a","new_cluster":{"mode":"STANDARD"}}]}`, live: `{"tasks":[{"task_key":"a","new_cluster":{"mode":"SINGLE_USER"}}]}`,
			want: []Field{f("tasks[a].new_cluster.mode", `"SINGLE_USER"`, `"STANDARD"`, Commit)}},

		// policies
		{name: "a policy adds", desired: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P"}}]}`,
			live: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P","runtime":"x","init_scripts":[{"s":"1"}],"conf":{"k":"v","l":["x"]}}}]}`},
		{name: "a policy adds to a map we write", desired: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P","conf":{"mine":"1"}}}]}`,
			live: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P","conf":{"mine":"1","theirs":"2"}}}]}`},
		{name: "without a policy nothing is added", desired: `{"tasks":[{"task_key":"a","new_cluster":{}}]}`, live: `{"tasks":[{"task_key":"a","new_cluster":{"runtime":"x"}}]}`,
			want: []Field{f("tasks[a].new_cluster.runtime", `"x"`, "", Commit)}},
		{name: "a policy does not excuse a conflict", desired: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P","workers":1}}]}`,
			live: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P","workers":2}}]}`,
			want: []Field{f("tasks[a].new_cluster.workers", "2", "1", Commit)}},
		{name: "what we sent and no longer desire is no policy's", desired: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P"}}]}`,
			live: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P","workers":2}}]}`, sent: `{"tasks":[{"task_key":"a","new_cluster":{"policy_id":"P","workers":2}}]}`,
			want: []Field{f("tasks[a].new_cluster.workers", "2", "", Commit)}},

		// three ways
		{name: "drift", desired: `{"a":1}`, live: `{"a":2}`, sent: `{"a":1}`, read: `{"a":1}`, want: []Field{f("a", "2", "1", Drift)}},
		{name: "added by hand is drift", desired: `{}`, live: `{"a":2}`, sent: `{}`, read: `{}`, want: []Field{f("a", "2", "", Drift)}},
		{name: "commit", desired: `{"a":3}`, live: `{"a":1}`, sent: `{"a":1}`, read: `{"a":1}`, want: []Field{f("a", "1", "3", Commit)}},
		{name: "commit over drift", desired: `{"a":3}`, live: `{"a":2}`, sent: `{"a":1}`, read: `{"a":1}`, want: []Field{f("a", "2", "3", Commit)}},
		{name: "overlay", desired: `{"tags":{"env":"prod"}}`, live: `{}`, sent: `{}`, read: `{}`, overlaid: map[string]bool{"tags.env": true},
			want: []Field{f("tags.env", "", `"prod"`, Overlay)}},
		{name: "overlay above", desired: `{"schedule":{"cron":"1"}}`, live: `{"schedule":{"cron":"2"}}`, overlaid: map[string]bool{"schedule": true},
			want: []Field{f("schedule.cron", `"2"`, `"1"`, Overlay)}},
		{name: "overlay below", desired: `{"args":["-i","prod"]}`, live: `{"args":["-i"]}`, overlaid: map[string]bool{"args[1]": true},
			want: []Field{f("args", `["-i"]`, `["-i","prod"]`, Overlay)}},
		{name: "overlay of a name with the same beginning", desired: `{"tags":{"env":"prod"}}`, live: `{}`, overlaid: map[string]bool{"tags.environment": true, "tag": true},
			want: []Field{f("tags.env", "", `"prod"`, Commit)}},
		{name: "drift of what the overlay set", desired: `{"tags":{"env":"prod"}}`, live: `{"tags":{"env":"x"}}`, sent: `{"tags":{"env":"prod"}}`, read: `{"tags":{"env":"prod"}}`,
			overlaid: map[string]bool{"tags.env": true}, want: []Field{f("tags.env", `"x"`, `"prod"`, Drift)}},
		{name: "the fabric's own spelling", desired: `{"cron":"0 0 5 * * ?","list":["b","a"]}`, live: `{"cron":"0 0 05 * * ?","list":["a","b"],"extra":1}`,
			sent: `{"cron":"0 0 5 * * ?","list":["b","a"]}`, read: `{"cron":"0 0 05 * * ?","list":["a","b"],"extra":1}`},
		{name: "the fabric's own spelling, then a commit", desired: `{"cron":"0 0 6 * * ?"}`, live: `{"cron":"0 0 05 * * ?"}`, sent: `{"cron":"0 0 5 * * ?"}`, read: `{"cron":"0 0 05 * * ?"}`,
			want: []Field{f("cron", `"0 0 05 * * ?"`, `"0 0 6 * * ?"`, Commit)}},
		{name: "the fabric's own spelling, then an edit", desired: `{"cron":"0 0 5 * * ?"}`, live: `{"cron":"0 0 7 * * ?"}`, sent: `{"cron":"0 0 5 * * ?"}`, read: `{"cron":"0 0 05 * * ?"}`,
			want: []Field{f("cron", `"0 0 7 * * ?"`, `"0 0 5 * * ?"`, Drift)}},
		{name: "an element that the fabric adds itself", desired: `{"tasks":[]}`, live: `{"tasks":[{"task_key":"z","depends_on":[{"task_key":"2"},{"task_key":"1"}]}]}`,
			sent: `{"tasks":[]}`, read: `{"tasks":[{"task_key":"z","depends_on":[{"task_key":"1"},{"task_key":"2"}]}]}`},
		{name: "sent but never read back teaches nothing", desired: `{"a":1}`, live: `{"a":2}`, sent: `{"a":1}`, want: []Field{f("a", "2", "1", Drift)}},

		// labels
		{name: "label by path", desired: `{"conf":{"v":"1.1"}}`, live: `{"conf":{"v":"1.0"}}`, labels: map[string]Label{"conf.v": `".*"`}, wantLabels: 1},
		{name: "label by name", desired: `{"conf":{"spark.metadata.job.branch":"1.1"}}`, live: `{"conf":{"spark.metadata.job.branch":"1.0"}}`, wantLabels: 1},
		{name: "label beside a change", desired: `{"v":"1.1","a":1}`, live: `{"v":"1.0","a":2}`, labels: map[string]Label{"v": `"\d\.\d"`}, want: []Field{f("a", "2", "1", Commit)}, wantLabels: 1},
		{name: "label whose rest differs", desired: `{"v":"app 1.1"}`, live: `{"v":"other 1.0"}`, labels: map[string]Label{"v": `"app \d\.\d"`},
			want: []Field{f("v", `"other 1.0"`, `"app 1.1"`, Commit)}},
		{name: "label matches as a whole", desired: `{"v":"1.1"}`, live: `{"v":"1.0 --evil"}`, labels: map[string]Label{"v": `"1\.0`},
			want: []Field{f("v", `"1.0 --evil"`, `"1.1"`, Commit)}},
		{name: "label that live lacks", desired: `{"v":"1.1"}`, live: `{}`, labels: map[string]Label{"v": `".*"`}, want: []Field{f("v", "", `"1.1"`, Commit)}},
		{name: "label that is no expression", desired: `{"v":"1.1"}`, live: `{"v":"1.0"}`, labels: map[string]Label{"v": `(`}, want: []Field{f("v", `"1.0"`, `"1.1"`, Commit)}},
		{name: "label in a list leaves its neighbours", desired: `{"args":["-v","1.1","-i","prod"]}`, live: `{"args":["-v","1.0","-i","dev"]}`, labels: map[string]Label{"args[1]": `".*"`},
			want: []Field{f("args[3]", `"dev"`, `"prod"`, Commit)}, wantLabels: 1},
		{name: "a label put back by hand", desired: `{"v":"1.1"}`, live: `{"v":"0.9"}`, sent: `{"v":"1.1"}`, read: `{"v":"1.1"}`, labels: map[string]Label{"v": `".*"`},
			want: []Field{f("v", `"0.9"`, `"1.1"`, Drift)}},
		{name: "a label that was not sent yet", desired: `{"v":"1.1"}`, live: `{"v":"0.9"}`, sent: `{"v":"1.0"}`, read: `{"v":"1.0"}`, labels: map[string]Label{"v": `".*"`}, wantLabels: 1},

		// what we sent and no longer ask for
		{name: "a default that is ours", desired: `{}`, live: `{"run_as":"a"}`, sent: `{"run_as":"a"}`, read: `{"run_as":"a"}`, want: []Field{f("run_as", `"a"`, "", Commit)}},
		{name: "a default that is the fabric's", desired: `{}`, live: `{"run_as":"a"}`, sent: `{}`, read: `{}`},
		{name: "one of two names", desired: `{"spec":{"client":"1"}}`, live: `{"spec":{"version":"1"}}`},
		{name: "the other name", desired: `{"spec":{"version":"1"}}`, live: `{"spec":{"client":"1"}}`},
		{name: "both names", desired: `{"spec":{"version":"1"}}`, live: `{"spec":{"client":"1","version":"1"}}`},
		{name: "both names, one of them edited", desired: `{"spec":{"version":"1"}}`, live: `{"spec":{"client":"2","version":"1"}}`, want: []Field{f("spec.client", `"2"`, "", Commit)}},
		{name: "another value under the other name", desired: `{"spec":{"client":"1"}}`, live: `{"spec":{"version":"2"}}`, want: []Field{f("spec.client", `"2"`, `"1"`, Commit)}},
		{name: "neither name desired", desired: `{"spec":{"x":1}}`, live: `{"spec":{"x":1,"version":"2"}}`, want: []Field{f("spec.version", `"2"`, "", Commit)}},
		{name: "case of an address", desired: `{"emails":["B@shop","a@shop"]}`, live: `{"emails":["a@shop","b@shop"]}`},
		{name: "another address", desired: `{"emails":["B@shop","a@shop"]}`, live: `{"emails":["a@shop","c@shop"]}`, want: []Field{f("emails", `["a@shop","c@shop"]`, `["B@shop","a@shop"]`, Commit)}},

		// hostile names
		{name: "names in paths", desired: `{"":1,"a.b":1,"c]d":1,"e\u001b[2Jf":1,"g\u202eh":1,"i\"j":1,"k l":1}`, live: `{}`,
			want: []Field{f(`[""]`, "", "1", Commit), f(`["c]d"]`, "", "1", Commit), f(`["e\x1b[2Jf"]`, "", "1", Commit), f(`["g\u202eh"]`, "", "1", Commit),
				f(`["i\"j"]`, "", "1", Commit), f("[a.b]", "", "1", Commit), f("k l", "", "1", Commit)}},
		{name: "text for a terminal", desired: `{"a":"x\u001b[2J\u009b2J\u202e\ud83d\ude00\u007f"}`, live: `{}`,
			want: []Field{f("a", "", `"x\u001b[2J\u009b2J\u202e😀\u007f"`, Commit)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Comparison{Rules: testRules, Desired: mustDoc(t, tt.desired), Live: mustDoc(t, tt.live), Sent: mustDoc(t, tt.sent), Read: mustDoc(t, tt.read),
				Labels: tt.labels, Overlaid: tt.overlaid}
			got, labels := Compare(c)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if labels != tt.wantLabels {
				t.Errorf("labels = %d, want %d", labels, tt.wantLabels)
			}
			for _, f := range got {
				if _, err := json.Marshal(f); err != nil {
					t.Errorf("field %s is no JSON: %v", f.Path, err)
				}
			}
		})
	}
}

func TestCompareOfHostileDepthAndWidth(t *testing.T) {
	deep := func(bottom string) Doc {
		return mustDoc(t, strings.Repeat(`{"x":`, 5000)+`{"a":["`+strings.Repeat("w", 100_000)+`"],"b":"`+bottom+`"}`+strings.Repeat("}", 5000))
	}
	fields, _ := Compare(Comparison{Rules: testRules, Desired: deep("1"), Live: deep("2")})
	if len(fields) != 1 || strings.Count(fields[0].Path, "x") != deepest {
		t.Fatalf("got %d fields, the first at %.200s", len(fields), fields[0].Path)
	}
	var wide strings.Builder
	wide.WriteString("{" + strings.Repeat(`"`+strings.Repeat("k", 100_000)+`":{`, 20) + `"":0`)
	for i := range 20_000 {
		fmt.Fprintf(&wide, `,"f%d":1`, i)
	}
	wide.WriteString(strings.Repeat("}", 21))
	if fields, _ = Compare(Comparison{Rules: testRules, Desired: mustDoc(t, wide.String()), Live: mustDoc(t, `{}`)}); len(fields) != 1 {
		t.Fatalf("wide below long keys: %d fields, the first at %.200s", len(fields), fields[0].Path)
	}
	huge := strings.Repeat("k", 1_000_000)
	fields, _ = Compare(Comparison{Rules: testRules, Desired: mustDoc(t, `{"`+huge+`1":1,"`+huge+`2":1}`), Live: mustDoc(t, `{}`)})
	if len(fields) != 2 || fields[0].Path == fields[1].Path || len(fields[0].Path) > 200 {
		t.Fatalf("huge keys: %.300s", compact(fields))
	}
	twins := mustDoc(t, `{"tasks":[`+strings.Repeat(`{"task_key":"a"},`, 20_000)+`{"task_key":"a"}]}`)
	if fields, _ = Compare(Comparison{Rules: testRules, Desired: twins, Live: mustDoc(t, `{}`)}); len(fields) != 20_001 {
		t.Fatalf("twins: %d fields", len(fields))
	}
}

// FuzzCompare looks for a panic, and for a difference between a document and itself.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(`{"tasks":[{"task_key":"a"},{"task_key":"a","n":1}]}`), []byte(`{"tasks":{"a":[null]}}`))
	f.Add([]byte(`{"emails":[1,[],{}],"":{"":1e999}}`), []byte(`{"emails":"x","acl":null}`))
	f.Add([]byte(`{"password":["x"],"args":["--token","x"]}`), []byte(`{"args":["--token"]}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, err := ParseDoc(a)
		if err != nil {
			return
		}
		y, err := ParseDoc(b)
		if err != nil {
			return
		}
		for _, c := range []Comparison{
			{Desired: x, Live: y}, {Desired: y, Live: x}, {Desired: x, Live: y, Sent: y, Read: x}, {Desired: x, Live: Doc{}}, {Desired: Doc{}, Live: y},
		} {
			c.Rules = testRules
			fields, _ := Compare(c)
			for i, f := range fields {
				if i > 0 && f.Path == fields[i-1].Path {
					t.Fatalf("two fields at %q", f.Path)
				}
				if _, err := json.Marshal(f); err != nil {
					t.Fatalf("field %q: %v", f.Path, err)
				}
			}
		}
		if fields, labels := Compare(Comparison{Rules: testRules, Desired: x, Live: x}); len(fields) > 0 || labels > 0 {
			t.Fatalf("differs from itself: %s", compact(fields))
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	for _, tasks := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			doc := func(filledIn string) Doc {
				var s strings.Builder
				s.WriteString(`{"name":"wide","tasks":[`)
				for i := range tasks {
					if i > 0 {
						s.WriteByte(',')
					}
					fmt.Fprintf(&s, `{"task_key":"task_%d","max_retries":2,"libraries":[{"whl":"/root/%d/clean.whl"}],"depends_on":[{"task_key":"task_0"}],`+
						`"python_wheel_task":{"package_name":"clean","entry_point":"main","parameters":["-i","default","-O","{}"]},`+
						`"new_cluster":{"spark_version":"15.4.x","num_workers":%d,"spark_conf":{"spark.a.b":"1","spark.c":"2"}}%s}`, i, i, i, filledIn)
				}
				s.WriteString(`]}`)
				return mustDoc(b, s.String())
			}
			desired, live := doc(""), doc(`,"run_if":"ALL_SUCCESS","notify":{}`)
			fields := float64(tasks*15 + 1)
			for b.Loop() {
				if f, _ := Compare(Comparison{Rules: testRules, Desired: desired, Live: live, Sent: desired, Read: live}); len(f) != 0 {
					b.Fatalf("differs: %s", compact(f))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/fields, "ns/field")
		})
	}
}
