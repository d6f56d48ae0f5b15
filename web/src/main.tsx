import { render } from 'preact';
import { App } from './app.tsx';
import { startRouter } from './router.ts';
import './style/main.css';

startRouter();
render(<App />, document.getElementById('app') as HTMLElement);
