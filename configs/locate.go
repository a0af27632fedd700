package configs

// Locate returns the folder of the state that the configuration at path names, and checks nothing else of it.
// Who only asks a running daemon needs the folder, where the daemon's socket is, and should not need the daemon's
// credentials. Any error is Problems.
func Locate(path string, o Options) (string, error) {
	l := newLoader(path, o)
	top, ok := l.open(l.sources[0])
	if !ok {
		return "", l.finish()
	}
	dir := ""
	if m, ok := l.mapping(top, &fileScope); ok {
		dir = l.state(m)
	}
	if len(l.problems) > 0 {
		return "", l.finish()
	}
	return dir, nil
}
