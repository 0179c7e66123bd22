package main

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// changeTimeout is how long a running proxy may take to change: requests that are under way are waited for.
const changeTimeout = 3 * time.Minute

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
			return client.change(cmd, "/api/reload")
		},
	}
	client.bind(cmd)
	return cmd
}

// newUpgradeCommand is "mcproxy upgrade".
func newUpgradeCommand() *cobra.Command {
	var client adminClient
	cmd := &cobra.Command{
		Use:   "upgrade [--admin HOST:PORT | -c FILE]",
		Short: "Have a new process take the place of a running proxy",
		Long: "upgrade has a running proxy start its program anew, from the file that is there now and with the configuration as it is now,\n" +
			"and give it the listeners and the clients, as SIGUSR2 does. Clients wait for a moment, and notice nothing else: no request\n" +
			"fails, and no conn is closed. What backends have missed is handed over too. If the new process does not start, or is not\n" +
			"ready within a minute, the old one goes on, and the exit code is 1.",
		Example: "  install -m 755 bin/mcproxy /usr/local/bin/mcproxy && mcproxy upgrade -c /etc/mcproxy/proxy.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return client.change(cmd, "/api/upgrade")
		},
	}
	client.bind(cmd)
	return cmd
}

// change posts to a path that changes the process, and prints what comes of it.
func (a *adminClient) change(cmd *cobra.Command, path string) error {
	if err := a.resolve(); err != nil {
		return err
	}
	a.timeout = changeTimeout
	answer, err := a.do(cmd.Context(), http.MethodPost, path, nil)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusConflict {
		return errors.New(refused.all())
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), printableLines(string(answer)))
	return err
}
