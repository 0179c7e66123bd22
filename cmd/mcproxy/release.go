package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// newReleaseCommand is "mcproxy release".
func newReleaseCommand() *cobra.Command {
	var client adminClient
	var pool string
	cmd := &cobra.Command{
		Use:   "release [--admin HOST:PORT | -c FILE] --pool POOL BACKEND",
		Short: "Let a held backend of a running proxy come back",
		Long: "release lets a backend come back that is held: it missed more writes than its journal holds, so what it has may be old.\n" +
			"Flush or restart that memcached first: from then on its items are read again. The backend is probed, and used when it\n" +
			"answers. Other backends than held ones are left alone, and the exit code is 1.",
		Example: "  printf 'flush_all\\r\\nquit\\r\\n' | nc 10.0.0.2 11211\n" +
			"  mcproxy release --pool main 10.0.0.2:11211",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if pool == "" {
				return usageError("--pool is missing: which pool's backend?")
			}
			if err := client.resolve(); err != nil {
				return err
			}
			answer, err := client.do(cmd.Context(), http.MethodPost, "/api/release", url.Values{"pool": {pool}, "backend": args})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(answer)
			return err
		},
	}
	client.bind(cmd)
	cmd.Flags().StringVar(&pool, "pool", "", "the backend's `pool`")
	return cmd
}
