-- Tasks of foreign producers: their results carry the labels back with the types they came with, which `labels` does not know.
alter table taskiq.task add column reply_labels json;
