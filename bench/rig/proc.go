package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// statTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 wherever Go runs on Linux.
const statTick = 10 * time.Millisecond

// Usage is what a process has used since its start, all its threads together.
type Usage struct {
	User, System time.Duration
	Resident     int64 // bytes now
}

// parseStat reads the text of /proc/PID/stat (proc_pid_stat(5)): utime, stime and rss.
func parseStat(text string, pageSize int) (Usage, error) {
	// The second field is the program's name in parentheses, which may hold blanks and parentheses itself.
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return Usage{}, fmt.Errorf("stat %q: no name in parentheses", text)
	}
	fields := strings.Fields(text[end+1:]) // from the third field on
	const utime, stime, rss = 14 - 3, 15 - 3, 24 - 3
	if len(fields) <= rss {
		return Usage{}, fmt.Errorf("stat %q: %d fields after the name, want over %d", text, len(fields), rss)
	}
	var values [3]int64
	for i, field := range []int{utime, stime, rss} {
		var err error
		if values[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return Usage{}, fmt.Errorf("stat %q: %w", text, err)
		}
	}
	return Usage{
		User:     time.Duration(values[0]) * statTick,
		System:   time.Duration(values[1]) * statTick,
		Resident: values[2] * int64(pageSize),
	}, nil
}

// ReadUsage reads what a process has used until now; its memory may lag by some pages a thread.
func ReadUsage(pid int) (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	return parseStat(string(text), os.Getpagesize())
}

// parseSize reads the bytes of a field in a text of lines "Field: 123 kB", such as /proc/PID/smaps_rollup and /proc/PID/status.
func parseSize(text, field string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, field+":"); found {
			number, found := strings.CutSuffix(strings.TrimSpace(rest), " kB")
			n, err := strconv.ParseInt(number, 10, 64)
			if !found || err != nil {
				return 0, fmt.Errorf("%q: want a number of kB", line)
			}
			return n << 10, nil
		}
	}
	return 0, fmt.Errorf("no %s in %q", field, text)
}

// ReadResident is exact, where the figure in stat may lag by some pages a thread.
func ReadResident(pid int) (int64, error) { return readSize(pid, "smaps_rollup", "Rss") }

// ReadPeak is the most bytes that a process had resident at any time.
func ReadPeak(pid int) (int64, error) { return readSize(pid, "status", "VmHWM") }

func readSize(pid int, file, field string) (int64, error) {
	name := fmt.Sprintf("/proc/%d/%s", pid, file)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	n, err := parseSize(string(text), field)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// parseCores reads the kernel's list of CPUs, such as 0-2,5.
func parseCores(text string) ([]int, error) {
	var cores []int
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("list of cores %q: %w", text, err)
		}
		to, err := strconv.Atoi(last)
		if err != nil {
			return nil, fmt.Errorf("list of cores %q: %w", text, err)
		}
		for core := from; core <= to; core++ {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

// allowedCores are those that a process may run on, as the kernel writes the list.
func allowedCores(pid string) (string, error) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "Cpus_allowed_list:"); found {
			return strings.TrimSpace(rest), nil
		}
	}
	return "", fmt.Errorf("/proc/%s/status: no Cpus_allowed_list", pid)
}
