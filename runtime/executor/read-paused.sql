-- The queues that nothing is claimed from: what waits in them is no work for now.
select queue from taskiq.paused_queue
