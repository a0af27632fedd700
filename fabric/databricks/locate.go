package databricks

import (
	"bytes"
	"encoding/json"
)

// lineOf is the line, from 1, on which the value at a spot begins in the text of a JSON file. ok is false
// where nothing stands there. Of a key that an object has twice the last counts, as everywhere.
func lineOf(raw []byte, at *spot) (line int, ok bool) {
	l := locator{json.NewDecoder(bytes.NewReader(raw)), raw}
	l.dec.UseNumber()
	begin, err := l.find(at.steps())
	if err != nil || begin < 0 {
		return 0, false
	}
	return 1 + bytes.Count(raw[:begin], []byte("\n")), true
}

type locator struct {
	dec *json.Decoder
	raw []byte
}

// find reads one value whole, and returns where in the text that begins to which the steps lead in it; -1
// where they lead to nothing.
func (l *locator) find(steps []*spot) (begin int, err error) {
	if len(steps) == 0 {
		begin := int(l.dec.InputOffset())
		for begin < len(l.raw) && bytes.IndexByte([]byte(" \t\r\n:,"), l.raw[begin]) >= 0 {
			begin++
		}
		return begin, l.pass()
	}
	open, err := l.dec.Token()
	if err != nil {
		return -1, err
	}
	delim, nested := open.(json.Delim)
	if !nested {
		return -1, nil
	}
	begin = -1
	for i := 0; l.dec.More(); i++ {
		here := delim == '[' && steps[0].index == i
		if delim == '{' {
			key, err := l.dec.Token()
			if err != nil {
				return -1, err
			}
			here = steps[0].index < 0 && key == steps[0].key
		}
		if here {
			begin, err = l.find(steps[1:])
		} else {
			err = l.pass()
		}
		if err != nil {
			return -1, err
		}
	}
	_, err = l.dec.Token()
	return begin, err
}

// pass reads over one value.
func (l *locator) pass() error {
	for depth := 0; ; {
		t, err := l.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
