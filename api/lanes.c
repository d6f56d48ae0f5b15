#include "api/lanes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { QUEUE_MAX = 2048, THREADS_MAX = 4 };

/* As many as are carried out well within a request's deadline: reads take some 0.1 ms and writes a
 * sync of the disk, so a thousand clients that all ask at once are served, not refused. Passwords
 * are checked two at a time, each some tenths of a second; a longer queue would only grow past the
 * deadline. */
static const struct {
	unsigned threads, queue;
} sizes[LANE_COUNT] = {
	[LANE_NOW] = {0, 0},
	[LANE_READ] = {3, 2048},
	[LANE_WRITE] = {4, 1024},
	[LANE_LOGIN] = {2, 24},
	[LANE_LONG] = {1, 4},
};

struct one {
	struct lanes *all;
	pthread_mutex_t lock;
	pthread_cond_t some;
	pthread_t threads[THREADS_MAX];
	unsigned n_threads, head, n;
	bool stopping;
	void *jobs[QUEUE_MAX];
};

struct lanes {
	void (*work)(void *arg, void *job);
	void *arg;
	struct one lane[LANE_COUNT];
};

/* Returns: the next job, or NULL when the lane ends. */
static void *next(struct one *q)
{
	void *job = NULL;

	pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->stopping)
		pthread_cond_wait(&q->some, &q->lock);
	if (q->n > 0) {
		job = q->jobs[q->head];
		q->head = (q->head + 1) % QUEUE_MAX;
		q->n--;
	}
	pthread_mutex_unlock(&q->lock);
	return job;
}

static void *worker_main(void *arg)
{
	struct one *q = arg;
	void *job;

	while ((job = next(q)))
		q->all->work(q->all->arg, job);
	return NULL;
}

bool lanes_push(struct lanes *l, enum lane lane, void *job)
{
	struct one *q = &l->lane[lane];
	bool ok;

	pthread_mutex_lock(&q->lock);
	ok = q->n < sizes[lane].queue && !q->stopping;
	if (ok) {
		q->jobs[(q->head + q->n++) % QUEUE_MAX] = job;
		pthread_cond_signal(&q->some);
	}
	pthread_mutex_unlock(&q->lock);
	return ok;
}

unsigned lanes_depth(struct lanes *l, enum lane lane)
{
	struct one *q = &l->lane[lane];
	unsigned n;

	pthread_mutex_lock(&q->lock);
	n = q->n;
	pthread_mutex_unlock(&q->lock);
	return n;
}

int lanes_new(struct lanes **out, void (*work)(void *arg, void *job), void *arg)
{
	struct lanes *l = calloc(1, sizeof(*l));
	int rc = 0;

	if (!l)
		return -ENOMEM;
	l->work = work;
	l->arg = arg;
	for (size_t i = 0; i < LANE_COUNT; i++) {
		l->lane[i].all = l;
		pthread_mutex_init(&l->lane[i].lock, NULL);
		pthread_cond_init(&l->lane[i].some, NULL);
	}
	for (size_t i = 0; i < LANE_COUNT && rc == 0; i++) {
		struct one *q = &l->lane[i];

		while (q->n_threads < sizes[i].threads && rc == 0) {
			rc = pthread_create(&q->threads[q->n_threads], NULL, worker_main, q);
			q->n_threads += rc == 0;
		}
	}
	if (rc) {
		lanes_stop(l);
		lanes_free(l);
		return -rc;
	}
	*out = l;
	return 0;
}

void lanes_stop(struct lanes *l)
{
	for (size_t i = 0; i < LANE_COUNT; i++) {
		struct one *q = &l->lane[i];

		pthread_mutex_lock(&q->lock);
		q->stopping = true;
		pthread_cond_broadcast(&q->some);
		pthread_mutex_unlock(&q->lock);
		for (unsigned t = 0; t < q->n_threads; t++)
			pthread_join(q->threads[t], NULL);
		q->n_threads = 0;
	}
}

void lanes_free(struct lanes *l)
{
	for (size_t i = 0; i < LANE_COUNT; i++) {
		pthread_cond_destroy(&l->lane[i].some);
		pthread_mutex_destroy(&l->lane[i].lock);
	}
	free(l);
}
