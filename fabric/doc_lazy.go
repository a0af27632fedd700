package fabric

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

// lazy is a document that is kept as text and decoded whenever somebody looks into it. A fabric of ten thousand
// jobs has four documents of each, and most rounds look into none of them; as text one takes a tenth of the memory.
type lazy struct {
	load      func() map[string]any // a new copy each time
	origin    func() string
	canonical []byte // nil where the text is not the canonical one, or is not in memory
	exact     bool   // the text is the canonical one, so that its digest is the document's
}

// LazyDoc is the document that decode makes of a text whenever it is looked into: the same each time, without a Ref,
// in a copy of its own. It may be called by several at once.
func LazyDoc(text []byte, decode func(text []byte) Doc) Doc {
	return Doc{lazy: &lazy{
		load:   func() map[string]any { return decode(text).root },
		origin: sync.OnceValue(func() string { return digestOfText(text) }),
	}}
}

// StoredDoc is the document of that digest, whose canonical text read gets from wherever it is kept, whenever the document
// is looked into. Where it can't be read any more there is nothing in it, and Unpacked it is the zero Doc. read may be
// called by several at once.
func StoredDoc(digest string, read func() ([]byte, error)) Doc {
	return Doc{lazy: &lazy{
		load: func() map[string]any {
			if text, err := read(); err == nil {
				if d, err := ParseDoc(text); err == nil {
					return d.root
				}
			}
			return nil
		},
		origin: func() string { return digest },
		exact:  true,
	}}
}

// Packed is the same document kept as text. One with a Ref stays as it is: a Ref is no JSON.
func (d Doc) Packed() Doc {
	if d.lazy != nil && d.lazy.exact {
		return Doc{lazy: d.lazy}
	}
	if d.IsZero() || len(d.Refs()) > 0 {
		return d
	}
	text := d.Canonical()
	packed := LazyDoc(text, func(text []byte) Doc {
		parsed, err := ParseDoc(text)
		if err != nil {
			panic("a document that we wrote ourselves can't be read: " + err.Error())
		}
		return parsed
	})
	packed.lazy.canonical, packed.lazy.exact = text, true
	return packed
}

// Unpacked is the same document, decoded once for all looks into it to come. Its origin stays.
func (d Doc) Unpacked() Doc {
	if d.lazy != nil && d.root == nil {
		if d.root = d.lazy.load(); d.root == nil {
			return Doc{}
		}
	}
	return d
}

// Origin names the text that a document is kept as, by its digest: two of one kind and one origin are the same. It is
// empty for a document that is kept decoded, and for none.
func (d Doc) Origin() string {
	if d.lazy == nil {
		return ""
	}
	return d.lazy.origin()
}

// content is the decoded document; nil for none.
func (d Doc) content() map[string]any {
	if d.root == nil && d.lazy != nil {
		return d.lazy.load()
	}
	return d.root
}

func digestOfText(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
