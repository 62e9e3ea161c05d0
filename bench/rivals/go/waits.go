// SPDX-License-Identifier: BSL-1.0
// sleepers, parked_memory, idle and wake_latency: goroutines that wait.
// Unlike heddle's: the event that many wait for is a channel that is closed, Go's way to tell all.
// What wake_latency finds is mainly Go's own caution: before an idle thread takes the goroutine
// that another has just woken, it sleeps for 3 us (runqgrab), which the kernel makes far more.

package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

func sleepers(v values, _ float64) (figures, error) {
	n := v["n"]
	cpuBefore := cpuSeconds()
	seconds := timed(func() {
		var ended sync.WaitGroup
		ended.Add(n)
		task := func() {
			defer ended.Done()
			time.Sleep(time.Second)
		}
		for i := 0; i < n; i++ {
			go task()
		}
		ended.Wait()
	})
	cpu := cpuSeconds() - cpuBefore
	return figures{"seconds": seconds, "cpu": cpu, "peak_mib": peakMiB()}, nil
}

func parkedMemory(v values, _ float64) (figures, error) {
	n := v["n"]
	var before, after memory
	seconds := timed(func() {
		before = memoryNow()
		event := make(chan struct{})
		var ended sync.WaitGroup
		ended.Add(n)
		var arrived atomic.Int64 // the tasks count, main reads
		task := func() {
			defer ended.Done()
			arrived.Add(1)
			<-event
		}
		for i := 0; i < n; i++ {
			go task()
		}
		// The last to arrive may not have parked yet: one in n.
		for arrived.Load() != int64(n) {
			runtime.Gosched()
		}
		after = memoryNow()
		close(event)
		ended.Wait()
	})
	grown := after.residentBytes - before.residentBytes + after.pageTableBytes - before.pageTableBytes
	return figures{
		"seconds":     seconds,
		"bytes_each":  float64(grown) / float64(n),
		"mappings":    float64(after.mappings),
		"guard_pages": 0, // a goroutine's prologue compares the stack pointer with a limit
	}, nil
}

func idle(v values, _ float64) (figures, error) {
	n := v["n"]
	event := make(chan struct{})
	var ended sync.WaitGroup
	ended.Add(n)
	task := func() {
		defer ended.Done()
		<-event
	}
	for i := 0; i < n; i++ {
		go task()
	}
	time.Sleep(100 * time.Millisecond) // all wait, and the threads have gone idle
	cpuBefore := cpuSeconds()
	seconds := timed(func() { time.Sleep(time.Second) })
	cpu := cpuSeconds() - cpuBefore
	close(event)
	ended.Wait()
	return figures{"seconds": seconds, "cpu_ms": cpu * 1e3 / seconds}, nil
}

// The waker sleeps a moment after so long, as heddle's does: past 10 ms it would be preempted.
const burst = 5 * time.Millisecond

// The waker keeps its thread busy, so that only the other one can run the waiter. It wakes it so
// long after that one went back to wait, n times.
func wakeLatency(v values, _ float64) (figures, error) {
	every, n := time.Duration(v["every_us"])*time.Microsecond, v["n"]
	start := time.Now()
	now := func() time.Duration { return time.Since(start) }

	wakes := make(chan time.Duration, 1) // room for one: the waker never waits
	ended := make(chan struct{})
	latencies := make([]float64, 0, n)
	var woken atomic.Int64 // the waiter counts, the waker reads
	go func() {
		defer close(ended)
		for at := range wakes {
			took := now() - at
			latencies = append(latencies, took.Seconds()*1e6)
			woken.Add(1)
		}
	}()
	burstEnds := now() + burst
	for i := 1; i <= n; i++ {
		if now() > burstEnds {
			time.Sleep(200 * time.Microsecond)
			burstEnds = now() + burst
		}
		for until := now() + every; now() < until; {
		}
		wakes <- now()
		for woken.Load() != int64(i) {
		}
	}
	close(wakes)
	<-ended
	seconds := now().Seconds()

	sort.Float64s(latencies)
	result := figures{"seconds": seconds}
	for _, p := range []int{1, 10, 25, 50, 75, 90, 99} {
		result[fmt.Sprintf("p%d_us", p)] = latencies[(n-1)*p/100]
	}
	return result, nil
}
