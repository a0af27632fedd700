package emulator

// Twin is another workspace with the jobs, runs and files of this one as they are now, by options of its own. From then on the
// two have nothing in common, so that a test can begin many times where another one ended.
func (w *Workspace) Twin(o Options) *Workspace {
	t := New(o)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state.clone()
	for i, j := range s.order { // what is rendered is kept with a job, and guarded by the lock of one workspace
		own := *j
		own.listed, own.expanded = nil, nil
		s.order[i], s.jobs[j.id] = &own, &own
	}
	t.state = s
	return t
}
