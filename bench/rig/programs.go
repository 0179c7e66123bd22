package rig

import (
	"fmt"
	"os/exec"
)

// findProgram looks in PATH, and where Debian keeps servers.
func findProgram(name string) (string, error) {
	for _, place := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; install Debian's package %s", name, packageOf(name))
}

// packageOf is the Debian package that has a program.
func packageOf(name string) string {
	switch name {
	case "taskset", "prlimit":
		return "util-linux"
	}
	return name
}
