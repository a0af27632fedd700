package adoption

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
)

func uri(project, key string) fabric.Trace {
	return fabric.Trace{Kind: fabric.TraceJob, Project: project, Key: fabric.Key(key)}
}

func branch(version string) fabric.Trace {
	return fabric.Trace{Kind: fabric.TraceRelease, Version: version}
}

func file(project, version, name string) fabric.Trace {
	return fabric.Trace{Kind: fabric.TraceFile, Project: project, Version: version, File: "pipeline/" + name}
}

// told is a result in few words.
func told(r Result) []string {
	var s []string
	for _, p := range r.Matched {
		var kinds []string
		for _, e := range p.Evidence {
			kinds = append(kinds, e.Kind)
		}
		s = append(s, fmt.Sprintf("%s is %s by %s", p.Key, p.ID, strings.Join(kinds, "+")))
	}
	for _, u := range r.Unclear {
		var ids []string
		for _, c := range u.Candidates {
			ids = append(ids, c.ID)
		}
		s = append(s, fmt.Sprintf("%s may be %s", u.Key, strings.Join(ids, " or ")))
	}
	for _, k := range r.Missing {
		s = append(s, fmt.Sprintf("%s is not live", k))
	}
	for _, x := range r.Strays {
		s = append(s, fmt.Sprintf("%s is left over, says %q, twin %q", x.ID, x.Key, x.Twin))
	}
	if r.Duplicates > 0 {
		s = append(s, fmt.Sprintf("%d duplicates", r.Duplicates))
	}
	return s
}

func TestMatch(t *testing.T) {
	a := Job{Key: "jobs/a", Name: "a", Files: []string{"pipeline/x.whl"}}
	b := Job{Key: "jobs/b", Name: "b", Files: []string{"pipeline/x.whl", "pipeline/y.whl"}}
	live := func(id, name string, traces ...fabric.Trace) Live { return Live{ID: id, Name: name, Traces: traces} }
	tests := []struct {
		name string
		in   Input
		want []string
	}{
		{"what it says itself", Input{Jobs: []Job{a}, Live: []Live{live("1", "other", uri("7", "jobs/a"), branch("1.0")), live("2", "a")}},
			[]string{"jobs/a is 1 by job.uri"}},
		{"the same key in another project is another job", Input{Jobs: []Job{a}, Live: []Live{live("1", "a", uri("8", "jobs/a"))}}, []string{"jobs/a is not live"}},
		{"a state file goes before a name", Input{Jobs: []Job{a}, Live: []Live{live("1", "a"), live("2", "renamed")}, Rows: []Row{{Job: "jobs/a", ID: "2", Fabric: "4"}}},
			[]string{"jobs/a is 2 by state file"}},
		{"a row of another fabric says nothing", Input{Jobs: []Job{a}, Live: []Live{live("2", "renamed")}, Rows: []Row{{Job: "jobs/a", ID: "2", Fabric: "5"}}}, []string{"jobs/a is not live"}},
		{"a row of a job that is gone says nothing", Input{Jobs: []Job{a}, Live: []Live{live("1", "a", uri("7", "jobs/a"))}, Rows: []Row{{Job: "jobs/a", ID: "9", Fabric: "4"}}},
			[]string{"jobs/a is 1 by job.uri+unique name"}},
		{"a state file that the live job contradicts", Input{Jobs: []Job{a, b}, Live: []Live{live("1", "a", uri("7", "jobs/b"))}, Rows: []Row{{Job: "jobs/a", ID: "1", Fabric: "4"}}},
			[]string{"jobs/b is 1 by job.uri", "jobs/a may be 1"}},
		{"two that say the same are not told apart by their names", Input{Jobs: []Job{a}, Live: []Live{live("1", "a", uri("7", "jobs/a")), live("2", "a (clone)", uri("7", "jobs/a"))}},
			[]string{"jobs/a may be 1 or 2", "1 duplicates"}},
		{"a person chooses between two", Input{Jobs: []Job{a}, Chosen: map[fabric.Key]string{"jobs/a": "2"}, Live: []Live{live("1", "a", uri("7", "jobs/a")), live("2", "a (clone)", uri("7", "jobs/a"))}},
			[]string{"jobs/a is 2 by --match+job.uri", `1 is left over, says "jobs/a", twin "2"`, "1 duplicates"}},
		{"files tell jobs apart", Input{Jobs: []Job{a, b}, Live: []Live{live("1", "one", file("7", "1.0", "x.whl")), live("2", "two", file("7", "1.0", "x.whl"), file("7", "1.0", "y.whl"))}},
			[]string{"jobs/a is 1 by component paths", "jobs/b is 2 by component paths"}},
		{"files of another project are no evidence", Input{Jobs: []Job{a}, Live: []Live{live("1", "one", file("8", "1.0", "x.whl"))}}, []string{"jobs/a is not live"}},
		{"the same files, and names that tell them apart", Input{Jobs: []Job{a, {Key: "jobs/c", Name: "c", Files: a.Files}},
			Live: []Live{live("1", "c", file("7", "1.0", "x.whl")), live("2", "a", file("7", "1.0", "x.whl"))}},
			[]string{"jobs/a is 2 by component paths+unique name", "jobs/c is 1 by component paths+unique name"}},
		{"the same files and no name", Input{Jobs: []Job{a, {Key: "jobs/c", Name: "c", Files: a.Files}},
			Live: []Live{live("1", "x", file("7", "1.0", "x.whl")), live("2", "y", file("7", "1.0", "x.whl"))}},
			[]string{"jobs/a may be 1 or 2", "jobs/c may be 1 or 2"}},
		{"a unique name", Input{Jobs: []Job{a}, Live: []Live{live("1", "a")}}, []string{"jobs/a is 1 by unique name"}},
		{"a name that two live jobs have", Input{Jobs: []Job{a}, Live: []Live{live("1", "a"), live("2", "a")}}, []string{"jobs/a may be 1 or 2"}},
		{"a name that two jobs of the release have", Input{Jobs: []Job{a, {Key: "jobs/c", Name: "a"}}, Live: []Live{live("1", "a")}}, []string{"jobs/a may be 1", "jobs/c may be 1"}},
		{"a name, and files of another project", Input{Jobs: []Job{a}, Live: []Live{live("1", "a", file("8", "1.0", "x.whl"))}}, []string{"jobs/a is not live"}},
		{"a live job of a dropped job", Input{Jobs: []Job{a}, Live: []Live{live("1", "old", uri("7", "jobs/old"), branch("0.9"))}}, []string{"jobs/a is not live", `1 is left over, says "jobs/old", twin ""`}},
		{"accepted before", Input{Jobs: []Job{a}, Accepted: map[fabric.Key]string{"jobs/a": "3"}, Live: []Live{live("3", "x"), live("4", "a")}}, []string{"jobs/a is 3 by accepted before"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Projects, tt.in.Fabrics = []string{"7"}, []string{"4"}
			if diff := cmp.Diff(tt.want, told(Match(tt.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	in := Input{Projects: []string{"7"}, Rows: []Row{{Job: "jobs/c", ID: "3", Tag: "P/1.0"}}, Live: []Live{
		{ID: "1", Traces: []fabric.Trace{uri("7", "jobs/a"), branch("1.0")}},
		{ID: "2", Traces: []fabric.Trace{file("7", "1.1", "x.whl")}},
		{ID: "3"},
		{ID: "4", Traces: []fabric.Trace{uri("8", "jobs/a"), branch("9")}},
		{ID: "5", Traces: []fabric.Trace{branch("9")}},
	}}
	if diff := cmp.Diff([]Version{{"1.0", "P/1.0", 2}, {"1.1", "", 1}}, Versions(in)); diff != "" {
		t.Error(diff)
	}
}

// Whatever stands in a workspace: each job of the release has one answer, no live job is taken for two, weaker evidence
// never wins over stronger, and the order in which things are listed means nothing.
func TestMatchProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	matched, unclear := 0, 0
	for range 10_000 {
		in := Input{Projects: []string{"7"}, Chosen: map[fabric.Key]string{}}
		for i := range 1 + rnd.IntN(4) {
			j := Job{Key: fabric.Key(fmt.Sprintf("jobs/%c", 'a'+i)), Name: string(rune('a' + rnd.IntN(4)))}
			if rnd.IntN(2) == 0 {
				j.Files = []string{fmt.Sprintf("pipeline/%d.whl", rnd.IntN(2))}
			}
			in.Jobs = append(in.Jobs, j)
		}
		for i := range rnd.IntN(6) {
			l := Live{ID: fmt.Sprint(i), Name: string(rune('a' + rnd.IntN(5)))}
			if rnd.IntN(3) == 0 {
				l.Traces = append(l.Traces, uri(fmt.Sprint(7+rnd.IntN(2)), fmt.Sprintf("jobs/%c", 'a'+rnd.IntN(5))))
			}
			if rnd.IntN(3) == 0 {
				l.Traces = append(l.Traces, file(fmt.Sprint(7+rnd.IntN(2)), "1.0", fmt.Sprintf("%d.whl", rnd.IntN(2))))
			}
			in.Live = append(in.Live, l)
			if rnd.IntN(4) == 0 {
				in.Rows = append(in.Rows, Row{Job: fabric.Key(fmt.Sprintf("jobs/%c", 'a'+rnd.IntN(4))), ID: l.ID})
			}
		}
		r := Match(in)
		answers, taken := map[fabric.Key]int{}, map[string]bool{}
		for _, p := range r.Matched {
			answers[p.Key]++
			if taken[p.ID] {
				t.Fatalf("%s is taken for two: %v\n%+v", p.ID, told(r), in)
			}
			taken[p.ID] = true
			if len(p.Evidence) == 0 {
				t.Fatalf("%s without evidence: %v\n%+v", p.Key, told(r), in)
			}
			l := in.Live[slices.IndexFunc(in.Live, func(l Live) bool { return l.ID == p.ID })]
			for _, x := range l.Traces {
				if x.Kind == fabric.TraceJob && (x.Project != "7" || x.Key != p.Key) {
					t.Fatalf("%s is taken for %s and says otherwise: %v\n%+v", p.ID, p.Key, told(r), in)
				}
			}
			for _, other := range in.Live {
				if !taken[other.ID] && other.ID != p.ID && slices.Contains(other.Traces, uri("7", string(p.Key))) && p.Evidence[0].Kind != StateFile.String() {
					t.Fatalf("%s says that it is %s too: %v\n%+v", other.ID, p.Key, told(r), in)
				}
			}
		}
		for _, u := range r.Unclear {
			answers[u.Key]++
			unclear++
		}
		for _, k := range r.Missing {
			answers[k]++
		}
		for _, j := range in.Jobs {
			if answers[j.Key] != 1 {
				t.Fatalf("%s has %d answers: %v\n%+v", j.Key, answers[j.Key], told(r), in)
			}
		}
		matched += len(r.Matched)
		again := in
		again.Live, again.Jobs, again.Rows = slices.Clone(in.Live), slices.Clone(in.Jobs), slices.Clone(in.Rows)
		rnd.Shuffle(len(again.Live), func(i, j int) { again.Live[i], again.Live[j] = again.Live[j], again.Live[i] })
		slices.Reverse(again.Jobs)
		slices.Reverse(again.Rows)
		if diff := cmp.Diff(told(r), told(Match(again))); diff != "" {
			t.Fatalf("in another order:\n%s\n%+v", diff, in)
		}
	}
	if matched < 3000 || unclear < 3000 {
		t.Errorf("%d matched, %d unclear: the worlds are too plain", matched, unclear)
	}
}
