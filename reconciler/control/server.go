// Package control lets people ask a running daemon: a small HTTP API on a unix socket, and the client that
// speaks it. Who may open the socket may ask; who asked is what the kernel says of the other end, never
// what the request says.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"selvage/reconciler"
)

// Bounds of the body of a request, in bytes.
const (
	maxRequest = 64 << 10
	maxState   = 8 << 20 // of one that brings the state file of another tool
)

// answer is the body of every response.
type answer struct {
	Error   string          `json:"error,omitempty"`
	Unknown bool            `json:"unknown,omitempty"` // the error is reconciler.ErrUnknownDeployment
	Result  json.RawMessage `json:"result,omitempty"`
}

// Server answers on a control socket.
type Server struct {
	listener net.Listener
	http     *http.Server
	stop     context.CancelFunc // ends what was begun for people, when the daemon stops
}

// longestPath is how many bytes the path of a socket may have, see unix(7).
const longestPath = 107

// Listen takes the socket at path, with mode 0660. A socket that nobody answers on is replaced; one
// that a live daemon answers on is an error.
func Listen(path string, o reconciler.Operator) (*Server, error) {
	if len(path) > longestPath {
		return nil, fmt.Errorf("control socket %s: the path has %d bytes and may have %d: choose a shorter folder for state", path, len(path), longestPath)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("control socket %s: another daemon answers on it", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	return &Server{listener: l, stop: stop, http: &http.Server{
		Handler:           handler(life, o),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       withPeer,
	}}, nil
}

// Serve answers until ctx ends. Then what people have begun begins nothing more, and has a moment to finish.
func (s *Server) Serve(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		s.stop()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 25*time.Second)
		defer cancel()
		s.http.Shutdown(grace)
		s.http.Close()
	}()
	err := s.http.Serve(s.listener)
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return err
}

type peerKey struct{}

// withPeer notes who is at the other end of a connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peer(c))
}

func peer(c net.Conn) string {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return ""
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil || err != nil {
		return ""
	}
	return Person(int(cred.Uid))
}

// Person is a user as the ledger names one.
func Person(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("%s (uid %s)", u.Username, id)
	}
	return "uid " + id
}

// handler answers with what o says. life ends when the daemon stops.
func handler(life context.Context, o reconciler.Operator) http.Handler {
	mux := http.NewServeMux()
	handle(mux, "GET /v1/status", func(r *http.Request, _ struct{}) (any, error) {
		return o.Status(r.Context(), r.URL.Query().Get("deployment"))
	})
	handle(mux, "GET /v1/configuration", func(r *http.Request, _ struct{}) (any, error) {
		return o.Configuration(r.Context())
	})
	handle(mux, "GET /v1/plan", func(r *http.Request, _ struct{}) (any, error) {
		return o.Plan(r.Context(), r.URL.Query().Get("deployment"), r.URL.Query().Get("revision"))
	})
	handle(mux, "GET /v1/why", func(r *http.Request, _ struct{}) (any, error) {
		return o.Why(r.Context(), r.URL.Query().Get("deployment"))
	})
	handle(mux, "POST /v1/apply", func(r *http.Request, a reconciler.ApplyRequest) (any, error) {
		a.By = asked(r)
		// Who asked may go away; what was begun goes on, until the daemon stops.
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		return o.Apply(ctx, a)
	})
	handle(mux, "POST /v1/collect", func(r *http.Request, c reconciler.CollectRequest) (any, error) {
		c.By = asked(r)
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		return o.Collect(ctx, c)
	})
	handle(mux, "POST /v1/suspend", func(r *http.Request, s reconciler.Suspension) (any, error) {
		s.By = asked(r)
		return nil, o.Suspend(r.Context(), s)
	})
	handle(mux, "POST /v1/resume", func(r *http.Request, s reconciler.Suspension) (any, error) {
		return nil, o.Resume(r.Context(), s.Target, asked(r))
	})
	handle(mux, "POST /v1/hold", func(r *http.Request, q reconciler.HoldRequest) (any, error) {
		q.By = asked(r)
		return o.Hold(r.Context(), q)
	})
	handle(mux, "POST /v1/unhold", func(r *http.Request, q reconciler.HoldRequest) (any, error) {
		return nil, o.Unhold(r.Context(), q.Deployment, asked(r))
	})
	handleUpTo(maxState, mux, "POST /v1/adopt", func(r *http.Request, q reconciler.AdoptRequest) (any, error) {
		q.By = asked(r)
		return o.Adopt(r.Context(), q)
	})
	handle(mux, "POST /v1/disown", func(r *http.Request, q reconciler.DisownRequest) (any, error) {
		q.By = asked(r)
		// What was begun goes on, as an apply does.
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		return o.Disown(ctx, q)
	})
	handle(mux, "POST /v1/resume-job", func(r *http.Request, j resumeJob) (any, error) {
		return nil, o.ResumeJob(r.Context(), j.Deployment, j.Job, asked(r))
	})
	return mux
}

// resumeJob asks to lift the pause by hand of a job.
type resumeJob struct {
	Deployment string `json:"deployment"`
	Job        string `json:"job"`
}

func asked(r *http.Request) string {
	who, _ := r.Context().Value(peerKey{}).(string)
	return who
}

// handle answers a route with what do returns. An answer may carry both a result and an error: a
// decision is complete also where it ended in an error.
func handle[T any](mux *http.ServeMux, route string, do func(*http.Request, T) (any, error)) {
	handleUpTo(maxRequest, mux, route, do)
}

func handleUpTo[T any](most int64, mux *http.ServeMux, route string, do func(*http.Request, T) (any, error)) {
	mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		var in T
		if r.Method == http.MethodPost {
			dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&in); err != nil {
				reply(w, http.StatusBadRequest, answer{Error: "read the request: " + err.Error()})
				return
			}
		}
		result, err := do(r, in)
		var a answer
		status := http.StatusOK
		if err != nil {
			a.Error, a.Unknown = err.Error(), errors.Is(err, reconciler.ErrUnknownDeployment)
			status = http.StatusUnprocessableEntity
		}
		if result != nil {
			if a.Result, err = json.Marshal(result); err != nil {
				status, a = http.StatusInternalServerError, answer{Error: err.Error()}
			}
		}
		reply(w, status, a)
	})
}

func reply(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(a) // who went away misses the answer
}
