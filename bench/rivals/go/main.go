// SPDX-License-Identifier: BSL-1.0
// The rival of heddle's benchmarks that runs on goroutines; ../README.md is the contract.
//   PROGRAM CASE MIN_SECONDS   measures one case and prints its figures as a JSON object
//   PROGRAM --about            prints which Go this is
// Exit status: 1 the measurement failed, a wrong sum too; 2 not called so, or no such case; 3 the
// case needs what is not here.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// What stands behind the colons of a case, by the names before them.
type values map[string]int

type figures map[string]float64

type benchmark struct {
	arguments []string // their names, in the order of a case
	run       func(v values, minSeconds float64) (figures, error)
}

var benchmarks = map[string]benchmark{
	"switch":        {[]string{"w", "n"}, switchTwo},
	"yield_many":    {[]string{"w", "n", "yields"}, yieldMany},
	"chan_pingpong": {[]string{"w", "n"}, chanPingpong},
	"chan_buffered": {[]string{"w", "ends", "n"}, chanBuffered},
	"select":        {[]string{"over", "w", "n"}, selectOver},
	"spawn_join":    {[]string{"w", "n"}, spawnJoin},
	"spawn_batch":   {[]string{"w", "n"}, spawnBatch},
	"skynet":        {[]string{"w", "n"}, skynet},
	"mutex":         {[]string{"w", "tasks", "times"}, mutex},
	"mutex_yield":   {[]string{"w", "tasks", "times"}, mutexYield},
	"sleepers":      {[]string{"w", "n"}, sleepers},
	"parked_memory": {[]string{"w", "n"}, parkedMemory},
	"fib":           {[]string{"w", "n"}, fibCase},
	"wake_latency":  {[]string{"every_us", "n"}, wakeLatency},
	"idle":          {[]string{"w", "n"}, idle},
	"sieve":         {[]string{"w", "n"}, sieveCase},
	"scaling":       {[]string{"n"}, scaling},
}

// An error that says what a case would have needed.
type needs string

func (n needs) Error() string { return "needs " + string(n) }

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--about" {
		// "go1.19.8"
		fmt.Println("Go " + strings.TrimPrefix(runtime.Version(), "go"))
		return
	}
	if len(os.Args) != 3 {
		usage()
	}
	minSeconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil || !(minSeconds >= 0) || math.IsInf(minSeconds, 1) {
		usage()
	}
	found, v, known := find(os.Args[1])
	if !known {
		fmt.Fprintf(os.Stderr, "%s: no such case: %s\n", os.Args[0], os.Args[1])
		os.Exit(2)
	}
	if err := report(found, v, minSeconds); err != nil {
		fail(err)
	}
}

func usage() {
	fmt.Fprintf(os.Stderr, "usage: %s CASE MIN_SECONDS, or %s --about\n", os.Args[0], os.Args[0])
	os.Exit(2)
}

func fail(err error) {
	var lack needs
	if errors.As(err, &lack) {
		fmt.Fprintln(os.Stderr, lack) // first in its line: callers look for it
		os.Exit(3)
	}
	fmt.Fprintf(os.Stderr, "%s: %s: %v\n", os.Args[0], os.Args[1], err)
	os.Exit(1)
}

// Takes a case apart: NAME/go/ARGUMENT:VALUE/...
func find(name string) (found benchmark, v values, known bool) {
	words := strings.Split(name, "/")
	found, known = benchmarks[words[0]]
	if !known || len(words) != 2+len(found.arguments) || words[1] != "go" {
		return found, nil, false
	}
	v = values{}
	for i, argument := range found.arguments {
		key, text, _ := strings.Cut(words[2+i], ":")
		value, err := strconv.Atoi(text)
		if key != argument || err != nil || value < 1 {
			return found, nil, false
		}
		v[key] = value
	}
	return found, v, true
}

func report(found benchmark, v values, minSeconds float64) error {
	workers, given := v["w"]
	if !given {
		workers = 2 // wake_latency and scaling
	}
	if cores := runtime.NumCPU(); cores < workers {
		return needs(fmt.Sprintf("%d cores: there are %d", workers, cores))
	}
	runtime.GOMAXPROCS(workers)
	got, err := found.run(v, minSeconds)
	if err != nil {
		return err
	}
	line, err := json.Marshal(got)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	return nil
}
