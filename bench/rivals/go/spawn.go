// SPDX-License-Identifier: BSL-1.0
// spawn_join, spawn_batch, skynet, fib and scaling: goroutines that are started to do some work.
// Unlike heddle's: nobody can join a goroutine. Of what one writes instead, the faster: a value
// over a channel where one waits for one at a time, a WaitGroup elsewhere.

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

func spawnJoin(v values, minSeconds float64) (figures, error) {
	n := v["n"]
	return measure(minSeconds, n, func() (float64, error) {
		return timed(func() {
			ended := make(chan struct{})
			task := func() { ended <- struct{}{} }
			for i := 0; i < n; i++ {
				go task()
				<-ended
			}
		}), nil
	})
}

func spawnBatch(v values, _ float64) (figures, error) {
	n := v["n"]
	found, err := measureTimes(5, n, func() (float64, error) {
		return timed(func() {
			var ended sync.WaitGroup
			ended.Add(n)
			task := func() { ended.Done() }
			for i := 0; i < n; i++ {
				go task()
			}
			ended.Wait()
		}), nil
	})
	found["peak_mib"] = peakMiB()
	return found, err
}

const fanOut = 10

func skynet(v values, _ float64) (figures, error) {
	leaves := v["n"]
	found, err := measureTimes(3, leaves, func() (float64, error) {
		sum := 0
		seconds := timed(func() {
			result := make(chan int)
			go grow(result, 0, leaves)
			sum = <-result
		})
		return seconds, check("sum of the leaves", sum, sumBelow(leaves))
	})
	delete(found, "ns")
	found["peak_mib"] = peakMiB()
	return found, err
}

// Sends to parent the sum of the leaves [first, first + leaves).
func grow(parent chan<- int, first, leaves int) {
	if leaves == 1 {
		parent <- first
		return
	}
	tasks := fanOut
	if leaves < tasks {
		tasks = leaves
	}
	children := make(chan int)
	for i := 0; i < tasks; i++ {
		mine := share(leaves, tasks, i)
		go grow(children, first, mine)
		first += mine
	}
	sum := 0
	for i := 0; i < tasks; i++ {
		sum += <-children
	}
	parent <- sum
}

func fibCase(v values, minSeconds float64) (figures, error) {
	n := v["n"]
	if n < 2 {
		return nil, needs("n:2 or more: below that fib starts no task")
	}
	here, next := 0, 1
	for i := 0; i < n; i++ {
		here, next = next, here+next
	}
	tasks := next - 1
	return measure(minSeconds, tasks, func() (float64, error) {
		result := 0
		seconds := timed(func() { result = fib(n) })
		return seconds, check("the Fibonacci number", result, here)
	})
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	var ended sync.WaitGroup
	one := 0
	ended.Add(1)
	go func() {
		defer ended.Done()
		one = fib(n - 1)
	}()
	other := fib(n - 2)
	ended.Wait()
	return one + other
}

// Each number of threads has its turn, with a part of the work first to warm up.
func scaling(v values, _ float64) (figures, error) {
	chunks := v["n"]
	var seconds [2]float64
	for i := range seconds {
		runtime.GOMAXPROCS(i + 1)
		if err := split(chunks/10, new(float64)); err != nil {
			return nil, err
		}
		if err := split(chunks, &seconds[i]); err != nil {
			return nil, err
		}
	}
	one, two := seconds[0], seconds[1]
	return figures{"speed_up": one / two, "one_s": one, "two_s": two, "seconds": two}, nil
}

// A goroutine for each chunk.
func split(chunks int, seconds *float64) error {
	var total atomic.Uint64
	*seconds = timed(func() {
		var ended sync.WaitGroup
		ended.Add(chunks)
		task := func() {
			defer ended.Done()
			total.Add(work())
		}
		for i := 0; i < chunks; i++ {
			go task()
		}
		ended.Wait()
	})
	return check("sum of the chunks", int(total.Load()), int(uint64(chunks)*work()))
}

// Depends on itself step by step: no core can hurry it.
func work() uint64 {
	x := uint64(1)
	for i := 0; i < 400_000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}
