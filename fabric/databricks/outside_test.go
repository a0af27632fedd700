package databricks

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

// others puts things into a workspace that are not ours.
func others(t *testing.T, e *emulator.Workspace) {
	t.Helper()
	for _, p := range []string{"/Volumes/main/shop/lib/a b.whl", "/Workspace/Shared/x.py", "dbfs:/FileStore/prophecy/a.whl"} {
		if err := e.SetFile(p, []byte("theirs")); err != nil {
			t.Fatal(err)
		}
	}
	e.SetSecret("jobs", "token")
	e.SetSecret("jobs", "other")
	e.SetSecret("empty", "")
	e.SetPipeline("3f1c-5a8e")
}

var askedFor = map[fabric.Outside]fabric.Sight{
	{Kind: fabric.OutsideFile, Name: "/Volumes/main/shop/lib/a b.whl"}: {Presence: fabric.Present},
	{Kind: fabric.OutsideFile, Name: "/Volumes/main/shop/lib"}:         {Presence: fabric.Absent}, // a folder is no file
	{Kind: fabric.OutsideFile, Name: "/Volumes/main/shop/gone.whl"}:    {Presence: fabric.Absent},
	{Kind: fabric.OutsideFile, Name: "/Workspace/Shared/x.py"}:         {Presence: fabric.Present},
	{Kind: fabric.OutsideFile, Name: "/Workspace/Shared"}:              {Presence: fabric.Absent},
	{Kind: fabric.OutsideFile, Name: "/Workspace/Shared/gone.py"}:      {Presence: fabric.Absent},
	{Kind: fabric.OutsideFile, Name: "dbfs:/FileStore/prophecy/a.whl"}: {Presence: fabric.Present},
	{Kind: fabric.OutsideFile, Name: "dbfs:/FileStore/prophecy"}:       {Presence: fabric.Absent},
	{Kind: fabric.OutsideFile, Name: "dbfs:/FileStore/gone.whl"}:       {Presence: fabric.Absent},
	{Kind: fabric.OutsideFile, Name: "s3://bucket/x"}:                  {Presence: fabric.Unknown},
	{Kind: fabric.OutsideSecret, Name: "jobs/token"}:                   {Presence: fabric.Present},
	{Kind: fabric.OutsideSecret, Name: "jobs/gone"}:                    {Presence: fabric.Absent},
	{Kind: fabric.OutsideSecret, Name: "empty/gone"}:                   {Presence: fabric.Absent},
	{Kind: fabric.OutsideSecret, Name: "gone/gone"}:                    {Presence: fabric.Absent},
	{Kind: fabric.OutsidePipeline, Name: "3f1c-5a8e"}:                  {Presence: fabric.Present},
	{Kind: fabric.OutsidePipeline, Name: "gone"}:                       {Presence: fabric.Absent},
	{Kind: fabric.OutsidePipeline, Name: "../secrets/list"}:            {Presence: fabric.Absent},
	{Kind: fabric.OutsidePipeline, Name: ""}:                           {Presence: fabric.Absent},
	{Kind: "a kind of its own", Name: "x"}:                             {Presence: fabric.Unknown},
}

func things(of map[fabric.Outside]fabric.Sight) []fabric.Outside {
	var list []fabric.Outside
	for t := range of {
		list = append(list, t, t) // twice
	}
	return list
}

func TestOutside(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	others(t, r.e)
	seen, err := r.w.Outside(t.Context(), things(askedFor))
	if diff := cmp.Diff(askedFor, seen); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if n := r.e.Count("GET /api/2.0/secrets/list"); n != 3 {
		t.Errorf("%d lists of secrets for 3 scopes", n)
	}
	if n := r.e.Count("*"); n > 16 {
		t.Errorf("%d requests", n)
	}
	if seen, err := r.w.Outside(t.Context(), nil); len(seen) != 0 || err != nil {
		t.Errorf("nothing was asked for: %v, %v", seen, err)
	}
	hidden := overTCP(t, emulator.Options{Unverified: emulator.Unverified{PipelineMissingIs403: true}}, Options{})
	one := fabric.Outside{Kind: fabric.OutsidePipeline, Name: "gone"}
	if seen, err := hidden.w.Outside(t.Context(), []fabric.Outside{one}); seen[one].Presence != fabric.Unknown || err != nil {
		t.Errorf("a pipeline that may be there and not be ours to see: %v, %v", seen, err)
	}
}

// TestOutsideFaults: whatever goes wrong, nothing becomes absent by it.
func TestOutsideFaults(t *testing.T) {
	for name, f := range map[string]emulator.Fault{
		"403":        {Status: http.StatusForbidden},
		"401":        {Status: http.StatusUnauthorized},
		"400":        {Status: http.StatusBadRequest},
		"500":        {Status: http.StatusInternalServerError},
		"closed":     {Close: true},
		"cut":        {Cut: 1},
		"not JSON":   {Status: http.StatusOK, Body: "<html>"},
		"proxy's":    {Status: http.StatusNotFound, Body: "<html>not found</html>"},
		"other code": {Status: http.StatusNotFound, Body: `{"error_code":"FEATURE_DISABLED","message":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				others(t, r.e)
				f.Pattern, f.Times = "GET *", -1
				r.e.Fault(f)
				asked := maps.Clone(askedFor)
				for k := range asked {
					if k.Kind != fabric.OutsideFile || k.Name[:2] != "/V" { // those are asked for with HEAD
						asked[k] = fabric.Sight{}
					}
				}
				for _, id := range []string{"", "../secrets/list"} { // nobody is asked
					asked[fabric.Outside{Kind: fabric.OutsidePipeline, Name: id}] = fabric.Sight{Presence: fabric.Absent}
				}
				seen, err := r.w.Outside(t.Context(), things(asked))
				if diff := cmp.Diff(asked, seen); diff != "" || err != nil {
					t.Errorf("%v\n%s", err, diff)
				}
			})
		})
	}
	for _, status := range []int{403, 401, 500} {
		inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
			others(t, r.e)
			r.e.Fault(emulator.Fault{Pattern: "HEAD *", Status: status, Times: -1})
			one := fabric.Outside{Kind: fabric.OutsideFile, Name: "/Volumes/main/shop/gone.whl"}
			if seen, err := r.w.Outside(t.Context(), []fabric.Outside{one}); seen[one].Presence != fabric.Unknown || err != nil {
				t.Errorf("HEAD with %d: %v, %v", status, seen, err)
			}
		})
	}
}

// TestOutsideKeepsThePace: a workspace that wants to be left alone is, and the round is told until when.
func TestOutsideKeepsThePace(t *testing.T) {
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		r.e.Fault(emulator.Fault{Pattern: "GET *", Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "60"}, Times: 1})
		var many []fabric.Outside
		for i := range 50 {
			many = append(many, fabric.Outside{Kind: fabric.OutsidePipeline, Name: fmt.Sprint("p", i)})
		}
		begin := time.Now()
		seen, err := r.w.Outside(t.Context(), many)
		var busy *fabric.Busy
		if !errors.As(err, &busy) || seen != nil || busy.Until.Before(begin.Add(59*time.Second)) {
			t.Errorf("%v, %v", seen, err)
		}
		if n := r.e.Count("*"); n > 2*looksAtOnce {
			t.Errorf("%d requests to who wanted to be left alone", n)
		}
	})
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		r.w.pace.limiter.SetLimit(10)
		r.w.pace.limiter.SetBurst(1)
		var many []fabric.Outside
		for i := range 100 {
			many = append(many, fabric.Outside{Kind: fabric.OutsidePipeline, Name: fmt.Sprint("p", i)})
		}
		begin := time.Now()
		seen, err := r.w.Outside(t.Context(), many)
		if took := time.Since(begin); took < 9*time.Second || len(seen) != 100 || err != nil {
			t.Errorf("%d things in %s: %v", len(seen), took, err)
		}
	})
}
