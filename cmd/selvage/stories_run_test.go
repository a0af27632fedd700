package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"selvage/reconciler"
)

// selvage is a command line of ours in the story's folder and environment. Unlike exec it stays out of the
// story's log.
func (s *scene) selvage(ts *testscript.TestScript, args ...string) *exec.Cmd {
	path, err := exec.LookPath("selvage")
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range append([]string{"PATH", "HOME", "TMPDIR", "TZ", "GORACE", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "SELVAGE_CONFIG", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "NO_COLOR"}, s.vars...) {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 0, -1, "daemon [ARGS]")
	s := sceneOf(ts)
	log, err := os.OpenFile(filepath.Join(s.dir, "daemon.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	ts.Check(err)
	defer log.Close()
	began, err := log.Seek(0, 2)
	ts.Check(err)
	cmd := s.selvage(ts, append([]string{"run"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.daemon, s.ended = cmd, ended
	ts.Defer(func() {
		if s.daemon == cmd {
			s.stop(syscall.SIGTERM)
		}
	})
	for range 400 {
		select {
		case err := <-s.ended:
			s.daemon = nil
			text, _ := os.ReadFile(log.Name())
			ts.Fatalf("the daemon ended: %v\n%s", err, text[began:])
		case <-time.After(50 * time.Millisecond):
		}
		if text, err := os.ReadFile(log.Name()); err == nil && bytes.Contains(text[began:], []byte(`"msg":"ready"`)) {
			return
		}
	}
	ts.Fatalf("the daemon was not ready after 20 s")
}

// stop ends the daemon with a signal and returns how it ended.
func (s *scene) stop(signal syscall.Signal) error {
	cmd := s.daemon
	s.daemon = nil
	cmd.Process.Signal(signal)
	select {
	case err := <-s.ended:
		return err
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		<-s.ended
		return errors.New("it did not stop within 20 s")
	}
}

func cmdStopDaemon(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 0, 1, "[!] stopdaemon [-kill]")
	s := sceneOf(ts)
	if s.daemon == nil {
		ts.Fatalf("no daemon is running")
	}
	if len(args) == 1 {
		s.stop(syscall.SIGKILL)
		return
	}
	if err := s.stop(syscall.SIGTERM); (err != nil) != neg {
		ts.Fatalf("the daemon ended: %v\n%s", err, ts.ReadFile(filepath.Join(s.dir, "daemon.log")))
	}
}

func cmdNotify(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 0, 0, "notify")
	path := ts.MkAbs("notify.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	told, err := os.Create(ts.MkAbs("notified"))
	ts.Check(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for message := make([]byte, 4096); ; {
			n, err := conn.Read(message)
			if err != nil {
				return
			}
			told.Write(append(message[:n:n], '\n'))
		}
	}()
	ts.Defer(func() { conn.Close(); <-done; told.Close() })
	ts.Setenv("NOTIFY_SOCKET", path)
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "until REGEXP COMMAND")
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if args[1] != "selvage" {
		ts.Fatalf("until runs selvage, not %s", args[1])
	}
	var out []byte
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		out, _ = sceneOf(ts).selvage(ts, args[2:]...).CombinedOutput() // what it prints says all
		if want.Match(out) {
			return
		}
	}
	ts.Fatalf("no match for %s within 30 s; last:\n%s", args[0], out)
}

func cmdTerminal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 2, -1, "[!] terminal ANSWER ARGS")
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	defer keyboard.Close()
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	ts.Check(err)
	ts.Check(unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	screen, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	cmd := sceneOf(ts).selvage(ts, args[1:]...)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	err = cmd.Start()
	screen.Close()
	ts.Check(err)
	shown := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(keyboard) // ends with EIO once nobody has the terminal any more
		shown <- text
	}()
	_, err = keyboard.WriteString(args[0] + "\n")
	ts.Check(err)
	err = cmd.Wait()
	say(ts, strings.ReplaceAll(string(<-shown), "\r\n", "\n"))
	if (err != nil) != neg {
		ts.Fatalf("selvage %s: %v", strings.Join(args[1:], " "), err)
	}
}

func cmdPlanDigest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "plandigest VAR ARGS")
	cmd := sceneOf(ts).selvage(ts, append([]string{"plan", "--output", "json"}, args[1:]...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output() // 2 says that there are changes
	var d reconciler.Decision
	if err := json.Unmarshal(out, &d); err != nil || d.Plan.Digest == "" {
		ts.Fatalf("there is no plan to approve: %s%s", out, stderr.Bytes())
	}
	ts.Setenv(args[0], d.Plan.Digest[:6])
}
