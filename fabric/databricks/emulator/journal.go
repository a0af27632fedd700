package emulator

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// IntentHeader is the header that carries the id of the intent behind a request that changes something.
const IntentHeader = "X-Selvage-Intent"

// journalLimit is how many requests are kept; a workspace that serves for days forgets the oldest.
const journalLimit = 200_000

// Request is one request that reached the workspace, the control paths not counted.
type Request struct {
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"` // raw
	Bytes  int       `json:"bytes,omitempty"` // of the body
	Intent string    `json:"intent,omitempty"`
	Status int       `json:"status"` // 0: not answered yet, or the connection was closed instead
	Fault  bool      `json:"fault,omitempty"`
	At     time.Time `json:"at"`
}

// journal remembers requests and violations.
type journal struct {
	mu         sync.Mutex
	requests   []*Request
	violations []string
}

func (j *journal) open(r Request) *Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.requests) >= journalLimit {
		j.requests = append([]*Request(nil), j.requests[journalLimit/2:]...)
	}
	j.requests = append(j.requests, &r)
	return &r
}

func (j *journal) close(r *Request, status int, fault bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Status, r.Fault = status, fault
}

func (j *journal) violate(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.violations = append(j.violations, text)
}

// Requests are the requests since the start or the last ResetJournal, in order of arrival, at most
// the last 200,000.
func (w *Workspace) Requests() []Request {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	out := make([]Request, len(w.journal.requests))
	for i, r := range w.journal.requests {
		out[i] = *r
	}
	return out
}

// Count is the number of requests that match a pattern such as "POST /api/2.2/jobs/create",
// "GET /api/2.2/jobs/*" (a trailing star stands for any rest), "* /api/2.0/fs/*" or "*" for all. A pattern
// with a question mark is held against the query too: "GET /api/2.2/jobs/get?job_id=17*".
func (w *Workspace) Count(pattern string) int {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	n := 0
	for _, r := range w.journal.requests {
		if matches(pattern, r.Method, r.Path, r.Query) {
			n++
		}
	}
	return n
}

// ResetJournal forgets the requests. Violations stay.
func (w *Workspace) ResetJournal() {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	w.journal.requests = nil
}

// Violations are the requests that the real API would reject, that a careful client never sends, or
// that came without an intent, each as a sentence. A test fails on any.
func (w *Workspace) Violations() []string {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	return append([]string(nil), w.journal.violations...)
}

// matches tells whether a request falls under a pattern "METHOD PATH" or "METHOD PATH?QUERY".
func matches(pattern, method, path, query string) bool {
	if pattern == "" || pattern == "*" {
		return true
	}
	m, p, _ := strings.Cut(pattern, " ")
	if m != "*" && m != method {
		return false
	}
	if strings.Contains(p, "?") {
		path += "?" + query
	}
	if rest, star := strings.CutSuffix(p, "*"); star {
		return strings.HasPrefix(path, rest)
	}
	return p == path
}

// intentLog looks for intent ids in the *.jsonl files of a folder. Files only grow, so each is read once.
type intentLog struct {
	dir string

	mu    sync.Mutex
	files map[string][]byte
}

// check says why a request with this intent id may not change anything; nil when it may.
func (l *intentLog) check(id string) error {
	if l.dir == "" {
		return nil
	}
	if id == "" {
		return fmt.Errorf("the request changes the workspace without the header %s", IntentHeader)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil { // first: a fresh intent then stands near the end, where looking begins
		return fmt.Errorf("look for intent %q: %w", id, err)
	}
	if l.knows(id) {
		return nil
	}
	return fmt.Errorf("intent %q is not in any *.jsonl file of %s yet", id, l.dir)
}

func (l *intentLog) knows(id string) bool {
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(l.files))) { // the newest first: names count up
		if mentions(l.files[name], id) {
			return true
		}
	}
	return false
}

// read takes in what was appended since the last look.
func (l *intentLog) read() error {
	names, err := filepath.Glob(filepath.Join(l.dir, "*.jsonl"))
	if err != nil {
		return err
	}
	if l.files == nil {
		l.files = map[string][]byte{}
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		have := l.files[name]
		more, err := io.ReadAll(io.NewSectionReader(f, int64(len(have)), 1<<40))
		_ = f.Close()
		if err != nil {
			return err
		}
		l.files[name] = append(have, more...)
	}
	return nil
}

// mentions looks for id as a whole word, from the end, where a fresh intent stands.
func mentions(text []byte, id string) bool {
	for end := len(text); ; {
		i := bytes.LastIndex(text[:end], []byte(id))
		if i < 0 {
			return false
		}
		after := i + len(id)
		if (i == 0 || !wordByte(text[i-1])) && (after == len(text) || !wordByte(text[after])) {
			return true
		}
		end = after - 1
	}
}

func wordByte(b byte) bool {
	return b == '-' || b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
