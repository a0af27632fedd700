package fabric

import (
	"errors"
	"testing"
)

// A document that is kept elsewhere is read when it is looked into, and is none where that fails.
func TestStoredDoc(t *testing.T) {
	t.Parallel()
	whole := NewDoc(map[string]any{"a": "x", "b": map[string]any{"c": true}})
	reads, lost := 0, false
	d := StoredDoc(whole.Digest(), func() ([]byte, error) {
		if reads++; lost {
			return nil, errors.New("the disk is gone")
		}
		return whole.Canonical(), nil
	})
	if d.Digest() != whole.Digest() || d.Origin() != whole.Digest() || d.IsZero() || len(d.Refs()) > 0 || reads > 0 {
		t.Errorf("after %d reads: %s, %s", reads, d.Digest(), d.Origin())
	}
	if d.Packed().Digest() != whole.Digest() || reads > 0 {
		t.Errorf("packing it read it %d times", reads)
	}
	if string(d.Canonical()) != string(whole.Canonical()) || d.At("b", "c") != true || d.Unpacked().At("a") != "x" {
		t.Errorf("it reads as %s", d.Canonical())
	}
	lost = true
	if u := d.Unpacked(); !u.IsZero() || d.At("a") != nil {
		t.Errorf("what can't be read is %s", u.Canonical())
	}
	fields, _ := Compare(Comparison{Rules: &Rules{}, Desired: whole.Packed(), Live: NewDoc(map[string]any{"a": "y", "b": map[string]any{"c": true}}), Sent: d, Read: d})
	if len(fields) != 1 || fields[0].Path != "a" || fields[0].Cause != Drift { // what was sent is what is desired, by its digest
		t.Errorf("%+v", fields)
	}
	other := StoredDoc(NewDoc(map[string]any{"a": "z"}).Digest(), func() ([]byte, error) { return nil, errors.New("the disk is gone") })
	fields, _ = Compare(Comparison{Rules: &Rules{}, Desired: whole, Live: NewDoc(map[string]any{"a": "y", "b": map[string]any{"c": true}}), Sent: other, Read: other})
	if len(fields) != 1 || fields[0].Path != "a" || fields[0].Cause != Commit {
		t.Errorf("%+v", fields)
	}
}
