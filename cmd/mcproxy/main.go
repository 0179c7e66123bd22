// Command mcproxy is a memcached proxy: memcached clients in front, memcached servers behind. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"mcproxy/config"
)

// version is set by the linker (-X main.version=v1.2.3).
var version string

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // the configuration or the run failed
	exitUsage = 2 // the command line is wrong
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program. It gives the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	var begun bool // a command runs: from now on errors are no usage errors
	root := newRoot()
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(context.Background())
	var problems config.Problems
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &problems):
		fmt.Fprintln(errOut, problems)
		return exitError
	case begun && !errors.As(err, &usage):
		fmt.Fprintln(errOut, "mcproxy:", err)
		return exitError
	default:
		fmt.Fprintf(errOut, "mcproxy: %s\nRun %q for help.\n", strings.TrimSpace(err.Error()), cmd.CommandPath()+" --help")
		return exitUsage
	}
}

// A usageError says that the command line is wrong, where cobra could not know.
type usageError string

func (e usageError) Error() string { return string(e) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mcproxy",
		Short: "A memcached proxy",
		Long: "mcproxy stands between memcached clients and memcached servers. It speaks the text protocol to both sides, and\n" +
			"places keys with the ring that the clients used before. Clients change one address and nothing else.",
		Example: "  mcproxy quickstart                  # a proxy before three memcacheds of its own, to try\n" +
			"  mcproxy check -c proxy.toml         # is this configuration right?\n" +
			"  mcproxy serve -c proxy.toml",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help() // writes to standard error, which has nobody to tell
			return usageError("no command")
		},
	}
	root.AddCommand(newServe(), newCheck(), newRoute(), newQuickstart(), newBenchCommand(), newTopCommand(), newHotKeysCommand(), newReleaseCommand(), newReloadCommand(), newUpgradeCommand(), newInspectCommand(),
		newKeystoneCommand(), newVersion())
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" { // cobra's own prints its help for a shell that it does not know, and is content
			cmd.RunE = func(*cobra.Command, []string) error { return usageError("which shell? bash, zsh, fish or powershell") }
		}
	}
	return root
}

// fileFlag adds -c.
func fileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "proxy.toml", "the configuration `file`")
	_ = cmd.MarkFlagFilename("config", "toml") // fails only if there is no such flag
}

// programVersion is what the linker set, or what the go command knows of the module.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
