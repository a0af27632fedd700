package main
import "github.com/spf13/cobra"
func (a *app) initCommand() *cobra.Command { return &cobra.Command{Use:"init",GroupID: host} }
func (a *app) validateCommand() *cobra.Command { return &cobra.Command{Use:"validate",GroupID: host} }
func (a *app) doctorCommand() *cobra.Command { return &cobra.Command{Use:"doctor",GroupID: host} }
