package configs

import (
	"os"
	"strings"
)

// Locate returns the folder of the state that the configuration at path names, and checks nothing else of it.
// Who only asks a running daemon needs the folder, where the daemon's socket is, and should not need the daemon's
// credentials. Any error is Problems.
func Locate(path string, o Options) (string, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	l := &loader{file: path, options: o, credentials: map[string]credential{}}
	text, ok := l.read()
	if !ok {
		return "", l.finish()
	}
	l.lines = strings.Split(text, "\n")
	root, ok := l.parse(text)
	if !ok {
		return "", l.finish()
	}
	dir := ""
	if m, ok := l.mapping(value{path: fileScope.name, node: root, at: placeOfNode(root, place{1, 1})}, &fileScope); ok {
		dir = l.state(m)
	}
	if len(l.problems) > 0 {
		return "", l.finish()
	}
	return dir, nil
}
