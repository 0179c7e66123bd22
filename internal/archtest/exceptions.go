package archtest

import "slices"

// An Exception allows what a check finds, for a reason.
type Exception struct {
	Check   string
	Subject string
	Reason  string
}

// Except takes the findings that an exception allows from findings. stale are
// the exceptions that allow nothing any more.
func Except(findings []Finding, exceptions []Exception) (rest []Finding, stale []Exception) {
	used := make([]bool, len(exceptions))
	for _, finding := range findings {
		i := slices.IndexFunc(exceptions, func(e Exception) bool {
			return e.Check == finding.Check && e.Subject == finding.Subject
		})
		if i < 0 {
			rest = append(rest, finding)
		} else {
			used[i] = true
		}
	}
	for i, exception := range exceptions {
		if !used[i] {
			stale = append(stale, exception)
		}
	}
	return rest, stale
}
