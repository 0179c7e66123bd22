package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"mcproxy/bench/rig"
)

// entrySize is what a token takes in a list of keystone-tokens, in bytes.
const entrySize = 86

// The lists of line a: near their limit from the start, as after days.
const (
	heavyList  = 4700 * entrySize // 404,200 bytes
	heavyLimit = 400 << 10
)

// listKey is the key of a user's list.
func listKey(user string) string {
	sum := sha1.Sum([]byte("usertokens-" + user))
	return hex.EncodeToString(sum[:])
}

// heavyUsers gives three users whose lists lie on the first of the memcacheds behind the proxy, whatever its ring: it stores a byte
// under their keys through the proxy, and looks who has it.
func (s *stand) heavyUsers(ctx context.Context) ([]string, error) {
	front, err := dial(ctx, s.proxy.Address)
	if err != nil {
		return nil, err
	}
	defer front.close()
	first, err := dial(ctx, s.Memcacheds[0])
	if err != nil {
		return nil, err
	}
	defer first.close()
	var users []string
	for _, service := range []string{"ceilometer", "neutron", "nova"} {
		user, err := userAt(front, first, service)
		if err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	return users, nil
}

// maxNames is how many names are tried: with n memcacheds each is right with a probability of about 1/n.
const maxNames = 1000

func userAt(front, first *client, service string) (string, error) {
	for i := range maxNames {
		user := service
		if i > 0 {
			user += "-" + strconv.Itoa(i)
		}
		if err := front.set(listKey(user), []byte("x")); err != nil {
			return "", err
		}
		if value, err := first.get(listKey(user)); err != nil || value != nil {
			return user, err
		}
	}
	return "", fmt.Errorf("of %d names for %s the first memcached has none", maxNames, service)
}

// seed gives each user a list of that many bytes.
func seed(ctx context.Context, address string, users []string, list []byte) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.close()
	for _, user := range users {
		if err := c.set(listKey(user), list); err != nil {
			return err
		}
	}
	return nil
}

// tokenSkew is line a.
func (h *harness) tokenSkew(ctx context.Context, f *rig.Findings) error {
	var ours, theirs, plain []float64
	run := func(start func(*rig.Fleet) (rig.Proxy, error)) (float64, error) {
		s, err := h.stand(ctx, 2, largeMemory, start)
		if err != nil {
			return 0, err
		}
		defer s.Close()
		users, err := s.heavyUsers(ctx)
		if err == nil {
			err = seed(ctx, s.proxy.Address, users, bytes.Repeat([]byte("s"), heavyList))
		}
		if err != nil {
			return 0, err
		}
		args := append([]string{
			"--workload", "keystone-tokens", "--conns", "16", "--service-users", strings.Join(users, ","), "--list-limit", count(heavyLimit),
		}, h.seconds()...)
		g, err := s.drive(ctx, f, args...)
		if err != nil {
			return 0, err
		}
		h.Say("a: %s: busiest server's bytes %.3f x the mean, %d lists written", s.proxy.Name, g.Backends.BytesMaxMean, g.Keystone.Updates)
		return g.Backends.BytesMaxMean, nil
	}
	mcproxy := func(tables string) func(*rig.Fleet) (rig.Proxy, error) {
		return func(fl *rig.Fleet) (rig.Proxy, error) {
			return fl.StartMcproxy(ctx, rig.Mcproxy, rig.McproxyConfig{Workers: 1, Ring: "ring = \"cmemcache\"\n", Pool: tables})
		}
	}
	nutcracker := func(fl *rig.Fleet) (rig.Proxy, error) { return fl.StartNutcracker(ctx, rig.Nutcracker, 0) }
	for range h.opts.Runs {
		for _, one := range []struct {
			start func(*rig.Fleet) (rig.Proxy, error)
			to    *[]float64
		}{{mcproxy(splitting), &ours}, {nutcracker, &theirs}, {mcproxy(""), &plain}} {
			v, err := run(one.start)
			if err != nil {
				return err
			}
			*one.to = append(*one.to, v)
		}
	}
	f.Verdicts = append(f.Verdicts, atMost("busiest server's bytes : mean, mcproxy", 1.05, thousandths, ours))
	f.Tables = append(f.Tables, beside(
		tells("busiest server's bytes : mean, nutcracker", thousandths, theirs),
		tells("the same, mcproxy without splitting", thousandths, plain),
	))
	f.Note("mcproxy's ring is cmemcache, nutcracker's ketama with fnv1a_64. For each the users' ids are chosen such that the three lists lie on "+
		"one server: ceilometer, ceilometer-1, ceilometer-2 and so on, until a byte stored under the list's key through the proxy is there. "+
		"Each list has %d bytes at the start, and at most %d.", heavyList, heavyLimit)
	return nil
}

// nearLimit is the size at which the lists of line b begin: some eight tokens more, and memcached does not take them.
const nearLimit = 12_185 * entrySize // 1,047,910 bytes

// longLists is line b.
func (h *harness) longLists(ctx context.Context, f *rig.Findings) error {
	var refused, lost, failed, damaged, largest, updates, plainRefused, plainLost []float64
	users := []string{"ceilometer", "neutron", "nova"}
	list := bytes.Repeat([]byte("token0123456789"), nearLimit/15+1)[:nearLimit]
	args := append([]string{
		"--workload", "keystone-tokens", "--conns", "6", "--users", "0", "--service-users", strings.Join(users, ","),
	}, h.seconds()...)
	run := func(address string) (rig.Generated, error) {
		if err := seed(ctx, address, users, list); err != nil {
			return rig.Generated{}, err
		}
		return h.load(ctx, f, address, args...)
	}
	for range h.opts.Runs {
		s, err := h.standWith(ctx, 4, largeMemory, splitting)
		if err != nil {
			return err
		}
		g, err := run(s.proxy.Address)
		var wrong int64
		if err == nil {
			wrong, err = missingBytes(ctx, s.proxy.Address, users, list, g.Keystone.Updates)
		}
		var direct rig.Generated
		if err == nil {
			direct, err = run(s.Memcacheds[0])
		}
		s.Close()
		if err != nil {
			return err
		}
		k := g.Keystone
		h.Say("b: %d lists written, the largest of %d bytes; %d refused, %d tokens lost; memcached itself: %d refused, %d lost",
			k.Updates, k.Largest, k.Refused, k.Lost, direct.Keystone.Refused, direct.Keystone.Lost)
		refused, lost, failed = append(refused, float64(k.Refused)), append(lost, float64(k.Lost+k.Unchecked)), append(failed, float64(g.Failed))
		damaged, largest, updates = append(damaged, float64(wrong)), append(largest, float64(k.Largest)), append(updates, float64(k.Updates))
		plainRefused = append(plainRefused, float64(direct.Keystone.Refused))
		plainLost = append(plainLost, float64(direct.Keystone.Lost))
	}
	overLimit := atMost("largest list, bytes", 1<<20, whole, largest)
	overLimit.Floor = true
	f.Verdicts = append(f.Verdicts,
		each(atMost("lists refused", 0, whole, refused)), each(atMost("tokens lost", 0, whole, lost)), each(atMost("operations failed", 0, whole, failed)),
		each(atMost("bytes lost of the lists as they were at first and of what was added", 0, whole, damaged)), each(overLimit))
	f.Tables = append(f.Tables, beside(
		tells("lists written", whole, updates),
		tells("one memcached itself: lists refused", whole, plainRefused), tells("and tokens lost", whole, plainLost),
	))
	f.Note("Each of the three lists has %d bytes at the start. In the end each is read back through the proxy.", nearLimit)
	return nil
}

// missingBytes reads the lists back: each must begin with what it was at first, and all together have grown by the updates.
func missingBytes(ctx context.Context, address string, users []string, list []byte, updates int64) (int64, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return 0, err
	}
	defer c.close()
	missing := updates * entrySize
	for _, user := range users {
		value, err := c.get(listKey(user))
		if err != nil {
			return 0, err
		}
		common := 0
		for common < min(len(value), len(list)) && value[common] == list[common] {
			common++
		}
		missing += int64(len(list)-common) - int64(max(len(value)-len(list), 0))
	}
	return missing, nil
}

// thousandths writes a ratio that is judged at its second digit.
func thousandths(v float64) string { return rig.Decimals(3, "")(v) }
