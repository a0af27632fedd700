package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"selvage/fabric/databricks/emulator"
)

func (a *app) emulatorCommand() *cobra.Command {
	listen, token := "127.0.0.1:0", "emulator-token"
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Serve an emulated Databricks workspace, for rehearsals",
		Long: `Serves an empty emulated workspace until interrupted, and prints its address. It holds its jobs and files in
memory. Whoever reaches it may also change jobs by hand below /__emulator/, without a token: keep it on loopback.`,
		Example: "  selvage emulator --listen 127.0.0.1:8443 --token rehearsal",
		GroupID: host,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return &failure{fmt.Errorf("serve the emulated workspace: %w", err), "give another address with --listen"}
			}
			stop := emulator.New(emulator.Options{Token: token}).Serve(l)
			defer stop()
			if err := a.print("http://" + l.Addr().String() + "\n"); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", listen, "`ADDRESS` to listen on")
	cmd.Flags().StringVar(&token, "token", token, "`TOKEN` that it accepts")
	return cmd
}
