package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"selvage/fabric"
	"selvage/reconciler/ledger"
)

// record makes entries durable in the ledger and takes them into the state. When it returns, the
// state holds them.
func (r *Reconciler) record(ctx context.Context, entries ...ledger.Entry) ([]ledger.Entry, error) {
	for i := range entries { // repository text may be anything
		entries[i].Text = strings.ToValidUTF8(entries[i].Text, "\uFFFD")
	}
	written, err := r.Ledger.Append(ctx, entries...)
	if err != nil {
		if errors.Is(err, ledger.ErrFailed) {
			r.mu.Lock()
			r.broken = err
			r.mu.Unlock()
		}
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range written {
		r.unfolded[e.Seq] = e
		r.Log.Info(e.Text, zap.String("kind", string(e.Kind)), zap.String("deployment", e.Deployment), zap.String("code", e.Code), zap.Uint64("seq", e.Seq))
	}
	// Calls that shared an fsync come here in any order; the state takes entries in the ledger's.
	for {
		e, ok := r.unfolded[r.folded+1]
		if !ok {
			break
		}
		delete(r.unfolded, e.Seq)
		if err := r.state.fold(e); err != nil {
			r.broken = err // the state no longer is what the ledger says: nothing more is done by it
		}
		r.folded = e.Seq
		r.grown.Broadcast()
	}
	for r.folded < written[len(written)-1].Seq {
		r.grown.Wait()
	}
	return written, r.broken
}

// flush writes the derived database, and forgets what is kept in memory and no longer needed. Failing only means that the next start reads more of the ledger.
func (r *Reconciler) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.state.table.flush(); err != nil {
		r.Log.Warn("write the derived database", zap.Error(err))
	}
	used := map[string]bool{}
	for _, all := range []map[string]map[fabric.Key]Applied{r.state.applied, r.state.formerly} {
		for _, owned := range all {
			for _, a := range owned {
				used[a.Sent], used[a.Read] = true, true
			}
		}
	}
	r.documents.keep(used)
	if len(r.releases) > 4*len(r.setup.Config.Deployments) {
		clear(r.releases) // made again from what is in the store
	}
	r.outlines()
}

// encode is for our own types, which always encode.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) { return maps.Keys(m) }

func joinKeys(keys []fabric.Key) string {
	s := make([]string, 0, len(keys))
	for i, k := range keys {
		if i == 5 {
			s = append(s, "...")
			break
		}
		s = append(s, string(k))
	}
	return strings.Join(slices.Clip(s), ", ")
}
