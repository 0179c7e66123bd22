package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// changeTimeout is how long a running proxy may take to change: requests that are under way are waited for.
const changeTimeout = time.Minute

// newReloadCommand is "mcproxy reload".
func newReloadCommand() *cobra.Command {
	var client adminClient
	cmd := &cobra.Command{
		Use:   "reload [--admin HOST:PORT | -c FILE]",
		Short: "Have a running proxy read its configuration again",
		Long: "reload has a running proxy read its configuration file again and go over to it, as SIGHUP does, and tells what has changed\n" +
			"and how many keys have moved. Requests under way are finished, and no client is disconnected. If the file is wrong, or says\n" +
			"what a running proxy cannot change, nothing has changed, and the exit code is 1.\n\n" +
			"-c says where the proxy's admin address stands; the file that is read again is the one that the proxy was started with.",
		Example: "  mcproxy check -c new.toml --against /etc/mcproxy/proxy.toml\n" +
			"  mv new.toml /etc/mcproxy/proxy.toml && mcproxy reload -c /etc/mcproxy/proxy.toml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := client.resolve(); err != nil {
				return err
			}
			client.timeout = changeTimeout
			answer, err := client.do(cmd.Context(), http.MethodPost, "/api/reload", nil)
			var refused *refusal
			if errors.As(err, &refused) && refused.status == http.StatusConflict {
				return errors.New(refused.all())
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write([]byte(printableLines(string(answer))))
			return err
		},
	}
	client.bind(cmd)
	return cmd
}
