package gitwatch

import (
	"container/heap"
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Ancestor tells whether the commit older is an ancestor of the commit newer, or the same. Both are full
// ids. A commit that the mirror lacks is an error, never false.
//
// It looks at commits from the newest down, so that a "yes" costs as many commits as are newer than the
// ancestor; a "no" costs the whole history once, because dates in commits can't be trusted to stop
// earlier. Answers are remembered. Past Limits.MaxCommits it gives a LimitError.
func (r *Repository) Ancestor(ctx context.Context, older, newer string) (bool, error) {
	question := [2]string{older, newer}
	r.mu.Lock()
	answer, known := r.ancestry[question]
	r.mu.Unlock()
	if known {
		return answer, nil
	}
	answer, err := r.walkAncestors(ctx, older, newer)
	if err != nil {
		return false, fmt.Errorf("is %s an ancestor of %s: %w", printable(older, 60), printable(newer, 60), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ancestry) >= maxKnown {
		clear(r.ancestry)
	}
	r.ancestry[question] = answer
	return answer, nil
}

func (r *Repository) walkAncestors(ctx context.Context, older, newer string) (bool, error) {
	if _, err := r.commit(ctx, older); err != nil {
		return false, err
	}
	start, err := r.commit(ctx, newer)
	if err != nil {
		return false, err
	}
	var queue commitQueue
	queue.push(start)
	goal := plumbing.NewHash(older)
	seen := map[plumbing.Hash]bool{start.Hash: true}
	if seen[goal] {
		return true, nil
	}
	for queue.Len() > 0 {
		for _, p := range queue.pop().ParentHashes {
			if p == goal {
				return true, nil
			}
			if seen[p] {
				continue
			}
			seen[p] = true
			if len(seen) > r.limits.MaxCommits {
				return false, &LimitError{Limit: "MaxCommits", Allowed: int64(r.limits.MaxCommits), Subject: "the history of " + newer}
			}
			parent, err := r.commit(ctx, p.String())
			if err != nil {
				return false, err
			}
			queue.push(parent)
		}
	}
	return false, nil
}

func (r *Repository) commit(ctx context.Context, id string) (*object.Commit, error) {
	kind, content, err := r.store.read(ctx, id, maxMetaObject)
	if err != nil {
		return nil, err
	}
	if kind != plumbing.CommitObject {
		return nil, fmt.Errorf("%s is a %s, not a commit", id, kind)
	}
	c := &object.Commit{}
	if err := c.Decode(memory(kind, content)); err != nil {
		return nil, fmt.Errorf("read commit %s: %w", id, err)
	}
	c.Message = "" // the queue of a long history shouldn't hold all messages
	return c, nil
}

// commitQueue gives the commit with the latest committer date first.
type commitQueue struct{ commits []*object.Commit }

func (q *commitQueue) push(c *object.Commit) { heap.Push(q, c) }
func (q *commitQueue) pop() *object.Commit   { return heap.Pop(q).(*object.Commit) }

func (q *commitQueue) Len() int      { return len(q.commits) }
func (q *commitQueue) Swap(i, j int) { q.commits[i], q.commits[j] = q.commits[j], q.commits[i] }
func (q *commitQueue) Less(i, j int) bool {
	return q.commits[i].Committer.When.After(q.commits[j].Committer.When)
}

// Push and Pop are those of heap.Interface; push and pop keep the order.
func (q *commitQueue) Push(c any) { q.commits = append(q.commits, c.(*object.Commit)) }

func (q *commitQueue) Pop() any {
	last := q.commits[len(q.commits)-1]
	q.commits = q.commits[:len(q.commits)-1]
	return last
}
