package configs

import "regexp"

// Locate returns the folder of the state that the configuration at path names, and checks nothing else of it.
// Who only asks a running daemon needs the folder, where the daemon's socket is, and should not need the daemon's
// credentials, nor a whole file: while it is being mended, the daemon runs by the one before. Any error is Problems.
func Locate(path string, o Options) (string, error) {
	l := newLoader(path, o)
	dir := ""
	if top, ok := l.open(l.sources[0]); ok {
		if m, ok := l.mapping(top, &fileScope); ok {
			dir = l.state(m)
		}
	}
	if len(l.problems) == 0 {
		return dir, nil
	}
	first := l.sources[0]
	for _, line := range first.lines {
		if m := stateLine.FindStringSubmatch(line); m != nil {
			return first.resolve(m[1]), nil
		}
	}
	return "", l.finish()
}

// stateLine is what can be made out in a file that is broken elsewhere.
var stateLine = regexp.MustCompile(`^state:[ \t]+"?([A-Za-z0-9._/-]+)"?[ \t]*(?:#.*)?$`)
