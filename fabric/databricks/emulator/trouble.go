package emulator

import (
	"encoding/json"
	"net/http"
)

// ListTrouble makes jobs/list lie, with status 200 and in the right shape. Pages count from 1; 0 is none.
type ListTrouble struct {
	Repeat   int // the page behind this one shows the jobs of this one again
	Drop     int // this page shows no job
	Truncate int // this page says that it is the last
	Lacks    int // the first page leaves out so many of its jobs
}

// troubled is a ListTrouble, and how far a reader has come.
type troubled struct {
	ListTrouble
	page int
	last json.RawMessage // the jobs of that page
}

// TroubleList has jobs/list lie to whoever reads it, one reader at a time, until it is told otherwise. A list by name
// is honest.
func (w *Workspace) TroubleList(t ListTrouble) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = troubled{ListTrouble: t}
}

// listAll is GET jobs/list, honest or not.
func (w *Workspace) listAll(c *call) (answer, *failure) {
	ans, f := w.listJobs(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.trouble
	if f != nil || t.ListTrouble == (ListTrouble{}) || c.param("name") != "" {
		return ans, f
	}
	var page struct {
		Jobs    json.RawMessage `json:"jobs,omitempty"`
		HasMore bool            `json:"has_more"`
		Next    string          `json:"next_page_token,omitempty"`
	}
	err := json.Unmarshal(ans.body, &page)
	if c.param("page_token") == "" {
		t.page = 0
	}
	t.page++
	honest := page.Jobs
	switch {
	case t.page == 1 && t.Lacks > 0:
		var jobs []json.RawMessage
		if err == nil {
			err = json.Unmarshal(page.Jobs, &jobs)
		}
		page.Jobs, _ = json.Marshal(jobs[min(t.Lacks, len(jobs)):]) // raw messages that were decoded encode
	case t.page > 1 && t.page-1 == t.Repeat:
		page.Jobs = t.last
	case t.page == t.Drop:
		page.Jobs = nil
	case t.page == t.Truncate:
		page.HasMore, page.Next = false, ""
	}
	t.last = honest
	if err != nil {
		return answer{}, &failure{status: http.StatusInternalServerError, code: "INTERNAL_ERROR", message: err.Error()}
	}
	return ok(page)
}
