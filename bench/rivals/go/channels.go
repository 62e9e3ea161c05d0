// SPDX-License-Identifier: BSL-1.0
// chan_pingpong, chan_buffered, select and sieve: goroutines and the channels between them.
// Unlike heddle's: a send on a closed channel panics, so only a sender closes; and the cases of a
// select statement stand in the source, so there is one for 2 channels and one for 8.

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
)

func chanPingpong(v values, minSeconds float64) (figures, error) {
	trips := v["n"]
	return measure(minSeconds, trips, func() (float64, error) {
		there, back := make(chan int), make(chan int)
		go func() {
			defer close(back)
			for value := range there {
				back <- value
			}
		}()
		sum := 0
		trip := func(count int) {
			for i := 0; i < count; i++ {
				there <- i
				sum += <-back
			}
		}
		trip(trips / 10)
		sum = 0
		seconds := timed(func() { trip(trips) })
		close(there)
		<-back // closed: the other one has ended
		return seconds, check("sum of the echoes", sum, sumBelow(trips))
	})
}

// 0 + 1 + ... + n-1
func sumBelow(n int) int { return n * (n - 1) / 2 }

// How many of n values part i of so many sends: as many as any other, or one more.
func share(n, parts, i int) int {
	if i < n%parts {
		return n/parts + 1
	}
	return n / parts
}

// What all parts send in sum, each the numbers from 0.
func sumOfShares(n, parts int) int {
	sum := 0
	for i := 0; i < parts; i++ {
		sum += sumBelow(share(n, parts, i))
	}
	return sum
}

func send(to chan<- int, count int) {
	for value := 0; value < count; value++ {
		to <- value
	}
}

func chanBuffered(v values, minSeconds float64) (figures, error) {
	ends, n := v["ends"], v["n"]
	found, err := measure(minSeconds, n, func() (float64, error) {
		sums := make([]int, ends)
		seconds := timed(func() { pass(n, sums) })
		sum := 0
		for _, mine := range sums {
			sum += mine
		}
		return seconds, check("sum of the values", sum, sumOfShares(n, ends))
	})
	found["million_per_s"] = 1e3 / found["ns"]
	return found, err
}

// As many senders and receivers as there are sums, for n values.
func pass(n int, sums []int) {
	channel := make(chan int, 128)
	var senders, receivers sync.WaitGroup
	senders.Add(len(sums))
	receivers.Add(len(sums))
	for i := range sums {
		go func(i int) {
			defer receivers.Done()
			mine := 0
			for value := range channel {
				mine += value
			}
			sums[i] = mine
		}(i)
	}
	for i := range sums {
		go func(count int) {
			defer senders.Done()
			send(channel, count)
		}(share(n, len(sums), i))
	}
	senders.Wait()
	close(channel)
	receivers.Wait()
}

func selectOver(v values, minSeconds float64) (figures, error) {
	over, n := v["over"], v["n"]
	receive := map[int]func(from []chan int, n int) int{2: receiveOf2, 8: receiveOf8}[over]
	if receive == nil {
		return nil, needs(fmt.Sprintf("over:2 or over:8: no select statement over %d here", over))
	}
	return measure(minSeconds, n, func() (float64, error) {
		from := make([]chan int, over)
		for i := range from {
			from[i] = make(chan int)
		}
		sum := 0
		seconds := timed(func() {
			var senders sync.WaitGroup
			senders.Add(over)
			for i := range from {
				go func(i int) {
					defer senders.Done()
					send(from[i], share(n, over, i))
				}(i)
			}
			sum = receive(from, n)
			senders.Wait()
		})
		return seconds, check("sum of the values", sum, sumOfShares(n, over))
	})
}

func receiveOf2(from []chan int, n int) int {
	c0, c1 := from[0], from[1]
	sum := 0
	for i := 0; i < n; i++ {
		select {
		case value := <-c0:
			sum += value
		case value := <-c1:
			sum += value
		}
	}
	return sum
}

func receiveOf8(from []chan int, n int) int {
	c0, c1, c2, c3 := from[0], from[1], from[2], from[3]
	c4, c5, c6, c7 := from[4], from[5], from[6], from[7]
	sum := 0
	for i := 0; i < n; i++ {
		select {
		case value := <-c0:
			sum += value
		case value := <-c1:
			sum += value
		case value := <-c2:
			sum += value
		case value := <-c3:
			sum += value
		case value := <-c4:
			sum += value
		case value := <-c5:
			sum += value
		case value := <-c6:
			sum += value
		case value := <-c7:
			sum += value
		}
	}
	return sum
}

func sieveCase(v values, minSeconds float64) (figures, error) {
	n := v["n"]
	expected := nthPrime(n)
	found, err := measure(minSeconds, n, func() (float64, error) {
		seconds, last := sieve(n)
		return seconds, check("the last prime", last, expected)
	})
	delete(found, "ns")
	return found, err
}

// The clock stops at the last prime. The chain is then taken down from its source: that one closes
// its channel, and so does each filter after it, while the end is read empty.
func sieve(n int) (seconds float64, last int) {
	var stopped atomic.Bool
	source := make(chan int)
	end := source
	seconds = timed(func() {
		go generate(source, &stopped)
		for i := 0; ; i++ {
			last = <-end
			if i+1 == n {
				break
			}
			next := make(chan int)
			go filter(end, next, last)
			end = next
		}
	})
	stopped.Store(true)
	for range end {
	}
	return seconds, last
}

func generate(out chan<- int, stopped *atomic.Bool) {
	for i := 2; !stopped.Load(); i++ {
		out <- i
	}
	close(out)
}

func filter(in <-chan int, out chan<- int, prime int) {
	for value := range in {
		if value%prime != 0 {
			out <- value
		}
	}
	close(out)
}

func nthPrime(n int) int {
	var primes []int
	for c := 2; len(primes) < n; c++ {
		prime := true
		for _, p := range primes {
			if p*p > c {
				break
			}
			if c%p == 0 {
				prime = false
				break
			}
		}
		if prime {
			primes = append(primes, c)
		}
	}
	return primes[n-1]
}
