package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"selvage/reconciler"
	"selvage/reconciler/control"
)

const (
	// stopBound is how long a clean stop may take: the reconciler gives what is in flight 20 s to finish.
	// systemd kills after 90 s unless told otherwise.
	stopBound = 45 * time.Second
	// tellEvery is how often systemd is told the state of the deployments.
	tellEvery = 30 * time.Second
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Polls the repositories and keeps every deployment at what git says, until it is told to stop. Logs JSON lines to
standard error. Tells systemd when it is ready (Type=notify, or Type=notify-reload).

When the configuration file or a credential changes, or on SIGHUP, the daemon loads the configuration again. What it means
for a deployment that the edit does not concern goes on untouched. A configuration with a mistake changes nothing: the one
before stays in force, and the log and selvage status say why. Another folder under state needs a restart.

On SIGTERM or SIGINT nothing more is begun; what is in flight finishes, or is left as an open intent that the
next start resolves by looking. A second signal ends it at once.`,
		Example: "  selvage run --config /etc/selvage/selvage.yaml",
		GroupID: host,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd.Context())
		},
	}
}

// run is the daemon, from its configuration to a clean stop.
func (a *app) run(ctx context.Context) (err error) {
	hup := make(chan os.Signal, 1) // one that waits says as much as ten
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	c, err := a.config()
	if err != nil {
		return err
	}
	log := newLog(a.err)
	i, err := openInstallation(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := i.Close(); err == nil { // else one leads to the other
			err = cerr
		}
	}()
	server, err := control.Listen(i.path(socketFile), i)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		<-running.Done()
		tell(daemon.SdNotifyStopping)
		log.Info("stopping: nothing more is begun")
		time.AfterFunc(stopBound, func() {
			log.Error("did not stop in time: what is in flight is left as open intents", zap.Duration("bound", stopBound))
			os.Exit(1)
		})
	})
	var served error
	wg.Go(func() { // ends after the reconciler, so that it can be asked until then
		if served = server.Serve(running); served != nil {
			stop()
		}
	})
	wg.Go(func() { tellStatus(running, i) })
	r := reloader{installation: i, load: a.config, credentials: cmp.Or(a.credentials, os.Getenv("CREDENTIALS_DIRECTORY")), tell: tell}
	log.Info("ready", zap.String("installation", i.id), zap.String("configuration", c.File), zap.Int("deployments", len(c.Deployments)))
	tell(daemon.SdNotifyReady)
	wg.Go(func() { r.run(running, hup) })
	reconciled := i.Run(running)
	stop()
	wg.Wait()
	return errors.Join(reconciled, served)
}

// newLog logs JSON lines.
func newLog(w io.Writer) *zap.Logger {
	e := zap.NewProductionEncoderConfig()
	e.EncodeTime = zapcore.RFC3339TimeEncoder
	e.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(e), zapcore.Lock(zapcore.AddSync(w)), zapcore.InfoLevel))
}

// tell says something to systemd, if it is there to listen.
func tell(what string) { _, _ = daemon.SdNotify(false, what) }

// tellStatus keeps the line that systemctl status shows.
func tellStatus(ctx context.Context, o reconciler.Operator) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		list, err := o.Status(ctx, "")
		c, cerr := o.Configuration(ctx)
		if err == nil && cerr == nil {
			tell("STATUS=" + summary(list, c))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// summary counts deployments by state: 3 deployments: 2 verified, 1 waiting.
func summary(list []reconciler.Status, c reconciler.Configuration) string {
	by := map[string]int{}
	for _, s := range list {
		by[s.State]++
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d %s", by[state], state))
	}
	text := plural(len(list), "deployment") + ": " + strings.Join(parts, ", ")
	if c.Refused.Code != "" {
		text += "; " + c.Refused.Text
	}
	return text
}
