package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"selvage/configs"
)

// app is one command line: where it reads and writes, and the flags that all commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	screen   screen

	file        string // --config
	credentials string // --credentials
	output      string // --output, of the commands that have it
}

func newApp(in io.Reader, out, err io.Writer) *app {
	return &app{in: in, out: out, err: err, screen: newScreen(out)}
}

// The groups of commands in the help.
const (
	look = "look"
	act  = "act"
	host = "host"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "selvage",
		Short: "Deploy data pipelines from git into production networks",
		Long: `Selvage watches git repositories for release tags and branches, builds the pipelines at that commit, compares
the committed jobs with what each fabric really runs, and applies the difference.

Start with: selvage init, selvage doctor, selvage run, selvage plan DEPLOYMENT.
A DEPLOYMENT is project@fabric, as in selvage.yaml.`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              noArguments,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().StringVar(&a.file, "config", "", "configuration `FILE` (default $SELVAGE_CONFIG, ./selvage.yaml, /etc/selvage/selvage.yaml)")
	root.PersistentFlags().StringVar(&a.credentials, "credentials", "", "folder `DIR` of ${credential:NAME} (default $CREDENTIALS_DIRECTORY)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &failure{err, "see: " + cmd.CommandPath() + " --help"}
	})
	root.AddGroup(&cobra.Group{ID: look, Title: "Look:"}, &cobra.Group{ID: act, Title: "Act:"}, &cobra.Group{ID: host, Title: "Set up and run:"})
	root.SetHelpCommandGroupID(host)
	root.AddCommand(
		a.statusCommand(), a.planCommand(), a.whyCommand(), a.logCommand(),
		a.applyCommand(), a.suspendCommand(), a.resumeCommand(), a.holdCommand(), a.unholdCommand(), a.adoptCommand(), a.disownCommand(), a.artifactsCommand(),
		a.demoCommand(), a.initCommand(), a.validateCommand(), a.doctorCommand(), a.runCommand(), a.emulatorCommand(), a.versionCommand(),
	)
	return root
}

// printsData gives a command the flag --output.
func (a *app) printsData(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.output, "output", "o", "text", "`FORMAT` of what is printed: text or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if a.output != "text" && a.output != "json" {
			return hinted("--output text is for people, --output json for programs", "there is no output format %q", a.output)
		}
		return nil
	}
	return cmd
}

// asJSON reports that the answer is for a program.
func (a *app) asJSON() bool { return a.output == "json" }

// printJSON writes v, indented, with a newline.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// print writes text for people.
func (a *app) print(text string) error {
	_, err := io.WriteString(a.out, text)
	return err
}

// configFile is the configuration that the command works with.
func (a *app) configFile() (string, error) {
	if a.file != "" {
		return a.file, nil
	}
	if file := os.Getenv("SELVAGE_CONFIG"); file != "" {
		return file, nil
	}
	places := []string{"selvage.yaml", "/etc/selvage/selvage.yaml"}
	for _, file := range places {
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			return file, nil
		}
	}
	return "", hinted("write one with: selvage init, or name another with --config FILE", "there is no configuration: neither %s", strings.Join(places, " nor "))
}

// config loads the configuration with all its credentials.
func (a *app) config() (*configs.Config, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	return configs.Load(file, configs.Options{Credentials: a.credentials})
}

// state is the folder of the state. It needs no credential: who asks a running daemon need not have any.
func (a *app) state() (string, error) {
	file, err := a.configFile()
	if err != nil {
		return "", err
	}
	return configs.Locate(file, configs.Options{Credentials: a.credentials})
}

func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return hinted("see: "+cmd.CommandPath()+" --help", "there is no command %q", strings.Join(append(strings.Fields(cmd.CommandPath())[1:], args[0]), " "))
	}
	return hinted("see: "+cmd.CommandPath()+" --help", "%s takes no argument: what is %q?", cmd.Name(), args[0])
}

// oneArgument wants what the usage line of the command names.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
		return hinted("for example: "+example, "%s wants %s", cmd.Name(), what)
	}
}

func atMostOneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return oneArgument(what)(cmd, args)
	}
}

const aDeployment = "the name of one deployment, as project@fabric"

// failure is an error with what to do next.
type failure struct {
	err  error
	next string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// hinted is an error with its next step.
func hinted(next, format string, args ...any) error {
	return &failure{fmt.Errorf(format, args...), next}
}

// status is how a command ends that has said all it has to say.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
