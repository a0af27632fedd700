package reconciler

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"selvage/artifacts"
	"selvage/fabric"
)

// documents keeps exact documents in the private store, by digest, and those that rounds compare with
// in memory.
type documents struct {
	store *artifacts.Store

	mu    sync.Mutex
	cache map[string]fabric.Doc
}

// put makes a document durable and returns its digest.
func (d *documents) put(doc fabric.Doc) (string, error) {
	digest, err := d.keepAside(doc)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	d.cache[digest] = doc.Packed()
	d.mu.Unlock()
	return digest, nil
}

// keepAside makes a document durable that no round compares with.
func (d *documents) keepAside(doc fabric.Doc) (string, error) {
	digest, _, err := d.store.Put(bytes.NewReader(doc.Canonical()))
	if err != nil {
		return "", fmt.Errorf("keep a document: %w", err)
	}
	return digest, nil
}

// get returns the document, or the zero Doc where the store lacks it or it is damaged: comparing
// then goes without what was last sent.
func (d *documents) get(digest string) fabric.Doc {
	if digest == "" {
		return fabric.Doc{}
	}
	d.mu.Lock()
	doc, ok := d.cache[digest]
	d.mu.Unlock()
	if ok {
		return doc
	}
	f, err := d.store.Open(digest)
	if err != nil {
		return fabric.Doc{}
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return fabric.Doc{}
	}
	if doc, err = fabric.ParseDoc(content); err != nil {
		return fabric.Doc{}
	}
	doc = doc.Packed()
	d.mu.Lock()
	d.cache[digest] = doc
	d.mu.Unlock()
	return doc
}

// keep forgets all documents in memory but those.
func (d *documents) keep(used map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.cache) <= len(used)+len(used)/2 {
		return
	}
	for digest := range d.cache {
		if !used[digest] {
			delete(d.cache, digest)
		}
	}
}
