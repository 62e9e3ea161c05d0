// SPDX-License-Identifier: BSL-1.0
// How a body is repeated and timed, and what the operating system says of this process.
//   I1  a body times itself: the start of the runtime, and what main does before it, do not count.
// Unlike heddle's: main is a goroutine itself, so there is no way into the runtime. Linux only.

package main

import (
	"bytes"
	"fmt"
	"os"
	"sort"
	"syscall"
	"time"
)

func timed(f func()) float64 {
	start := time.Now()
	f()
	return time.Since(start).Seconds()
}

// Makes one measurement and returns the seconds that it took.
type body func() (float64, error)

// Runs b once unmeasured, then at least once and until minSeconds are spent.
func measure(minSeconds float64, operations int, b body) (figures, error) {
	seconds, err := median(b, func(_ int, total float64) bool { return total >= minSeconds })
	return figures{"ns": seconds * 1e9 / float64(operations), "seconds": seconds}, err
}

const patienceSeconds = 5

// Runs b once unmeasured, then so many times, fewer once its patience is spent.
func measureTimes(times, operations int, b body) (figures, error) {
	seconds, err := median(b, func(count int, total float64) bool {
		return count >= times || total >= patienceSeconds
	})
	return figures{"ns": seconds * 1e9 / float64(operations), "seconds": seconds}, err
}

func median(b body, enough func(count int, total float64) bool) (float64, error) {
	if _, err := b(); err != nil {
		return 0, err
	}
	var spent []float64
	for total := 0.0; len(spent) == 0 || !enough(len(spent), total); {
		seconds, err := b()
		if err != nil {
			return 0, err
		}
		spent = append(spent, seconds)
		total += seconds
	}
	sort.Float64s(spent)
	return spent[len(spent)/2], nil
}

// The error of a sum that is not what it must be; nil if it is.
func check(what string, got, wanted int) error {
	if got == wanted {
		return nil
	}
	return fmt.Errorf("%s: %d, and not %d", what, got, wanted)
}

// User and system seconds of the whole process.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) * 1e-9
}

type memory struct {
	residentBytes, peakBytes, pageTableBytes int // VmRSS, VmHWM, VmPTE
	mappings                                 int // lines of /proc/self/maps
}

func memoryNow() memory {
	var now memory
	for _, line := range bytes.Split(readFile("/proc/self/status"), []byte("\n")) {
		var key string
		var kib int
		fmt.Sscan(string(line), &key, &kib)
		switch key {
		case "VmRSS:":
			now.residentBytes = kib * 1024
		case "VmHWM:":
			now.peakBytes = kib * 1024
		case "VmPTE:":
			now.pageTableBytes = kib * 1024
		}
	}
	now.mappings = bytes.Count(readFile("/proc/self/maps"), []byte("\n"))
	return now
}

func readFile(name string) []byte {
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return text
}

func peakMiB() float64 { return float64(memoryNow().peakBytes) / (1 << 20) }
