// SPDX-License-Identifier: BSL-1.0
// mutex and mutex_yield: many goroutines increment one counter; one lock guards it.
// As heddle's, a sync.Mutex lets who runs lock it before who waits, but only for a millisecond.

package main

import (
	"runtime"
	"sync"
)

func mutex(v values, minSeconds float64) (figures, error) {
	return contend(v, minSeconds, func(lock *sync.Mutex, counter *int, times int) {
		for k := 0; k < times; k++ {
			lock.Lock()
			*counter++
			lock.Unlock()
		}
	})
}

func mutexYield(v values, minSeconds float64) (figures, error) {
	return contend(v, minSeconds, func(lock *sync.Mutex, counter *int, times int) {
		for k := 0; k < times; k++ {
			lock.Lock()
			*counter++
			runtime.Gosched()
			lock.Unlock()
		}
	})
}

func contend(v values, minSeconds float64,
	increment func(lock *sync.Mutex, counter *int, times int)) (figures, error) {
	tasks, times := v["tasks"], v["times"]
	return measure(minSeconds, tasks*times, func() (float64, error) {
		var lock sync.Mutex
		counter := 0 // guarded by lock
		seconds := timed(func() {
			var ended sync.WaitGroup
			ended.Add(tasks)
			for i := 0; i < tasks; i++ {
				go func() {
					defer ended.Done()
					increment(&lock, &counter, times)
				}()
			}
			ended.Wait()
		})
		return seconds, check("increments", counter, tasks*times)
	})
}
