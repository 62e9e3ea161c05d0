// SPDX-License-Identifier: BSL-1.0
// switch and yield_many: goroutines that do nothing but yield.
// Unlike heddle's: Gosched goes to the end of the queue that all threads share, and through the
// scheduler even where nobody else is there; so a pass with two workers counts however they fall.

package main

import (
	"runtime"
	"sync"
)

func switchTwo(v values, minSeconds float64) (figures, error) {
	n := v["n"]
	return measure(minSeconds, n, func() (float64, error) {
		return yieldAll(2, (n+1)/2), nil
	})
}

func yieldMany(v values, minSeconds float64) (figures, error) {
	n, yields := v["n"], v["yields"]
	return measure(minSeconds, n*yields, func() (float64, error) {
		return yieldAll(n, yields), nil
	})
}

// Starts n goroutines that yield so many times each, and waits for them.
func yieldAll(n, yields int) float64 {
	return timed(func() {
		var ended sync.WaitGroup
		ended.Add(n)
		task := func() {
			defer ended.Done()
			for k := 0; k < yields; k++ {
				runtime.Gosched()
			}
		}
		for i := 0; i < n; i++ {
			go task()
		}
		ended.Wait()
	})
}
