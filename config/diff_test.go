package config_test

import (
	"slices"
	"strings"
	"testing"

	"mcproxy/config"
)

func TestDiff(t *testing.T) {
	const before = `
[[listeners]]
address = "127.0.0.1:11210"

[[listeners]]
address = "unix:/run/a"
mode = "0600"

[proxy]
workers = 2

[pools.main]
backends = ["10.0.0.1", { name = "b", address = "10.0.0.2:11211" }, "10.0.0.3"]
timeout = "250ms"

[pools.main.hotkeys]
ignore = ["a", "b"]

[pools.old]
backends = ["10.0.0.9"]

[[routes]]
prefix = "x/"
pool = "old"

[[routes]]
prefix = "y/"
pool = "old"
`
	const after = `
default_pool = "main"

[[listeners]]
address = "127.0.0.1:11210"

[[listeners]]
address = "unix:/run/a"

[[listeners]]
address = "127.0.0.1:11211"

[log]
level = "debug"

[pools.main]
backends = [{ name = "b", address = "10.0.0.2:11211", weight = 2 }, "10.0.0.1", "10.0.0.4"]
timeout = "1s"

[pools.main.hotkeys]
ignore = ["a"]

[pools.main.split]
enabled = true

[pools.new]
backends = ["10.0.0.9"]

[[routes]]
prefix = "y/"
pool = "new"

[[routes]]
prefix = "z/"
pool = "new"
`
	want := []string{
		`default_pool: none → "main"`,
		`listeners["unix:/run/a"].mode: "0600" → "0660"`,
		`listeners["127.0.0.1:11211"]: added`,
		`log.level: "info" → "debug"`,
		`pools.main.backends["10.0.0.3"]: taken out`,
		`pools.main.backends["b"].weight: 1 → 2`,
		`pools.main.backends["10.0.0.4"]: added`,
		`pools.main.backends: in another order`,
		`pools.main.hotkeys.ignore["b"]: taken out`,
		`pools.main.split.enabled: false → true`,
		`pools.main.timeout: "250ms" → "1s"`,
		`pools.new: added`,
		`pools.old: taken out`,
		`proxy.workers: 2 → 0`,
		`routes["x/"]: taken out`,
		`routes["y/"].pool: "old" → "new"`,
		`routes["z/"]: added`,
	}
	got := config.Diff(parsed(t, `default_pool = "old"`+before), parsed(t, after))
	want[0] = `default_pool: "old" → "main"`
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := config.Diff(parsed(t, after), parsed(t, after)); len(got) > 0 {
		t.Errorf("a file differs from itself: %q", got)
	}
}

func parsed(t *testing.T, text string) *config.File {
	t.Helper()
	f, err := config.Parse("test.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
